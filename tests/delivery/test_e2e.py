"""What scripts/e2e-cluster is made of, as far as it runs without a cluster: the load that must see
every failure, the changes of a model, the command line."""

import json
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import delivery_loop as loop
from manifests import ROOT


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with self.server.lock:
            self.server.asked += 1
            bad = self.server.asked == self.server.bad
            if self.server.asked >= self.server.enough:
                self.server.done.set()
        if bad and self.server.drop:
            self.close_connection = True
            return
        body = json.dumps({"model_version": "v1.0.0"}).encode()
        self.send_response(503 if bad else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.mark.parametrize(("bad", "drop"), [(0, False), (20, False), (1, True)])
def test_the_load_sees_every_failure(bad, drop):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.lock, server.done = threading.Lock(), threading.Event()
    server.asked, server.bad, server.drop, server.enough = 0, bad, drop, 60
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with loop.Load("127.0.0.1", server.server_port, "/predict/21", seconds=60) as load:
        assert server.done.wait(60)
    server.shutdown()
    server.server_close()
    assert load.answers["v1.0.0"] >= 50
    assert len(load.failures) == (1 if bad else 0), load.failures


def test_the_next_version_is_stamped_hashed_and_listed(tmp_path):
    shutil.copytree(ROOT / "models", tmp_path / "models")
    assert loop.version(tmp_path, "linear") == "v1.1.0"
    assert loop.next_version(tmp_path, "linear") == "v1.2.0"
    onnx = (tmp_path / "models/linear/model.onnx").read_bytes()
    text = loop.manifest(tmp_path, "linear").read_text()
    assert b"v1.2.0" in onnx and loop.digest(onnx) in text and 'version = "v1.2.0"' in text


def test_a_version_with_a_plus_has_a_tag(tmp_path):
    """v1.1.0+retrained is a version; a tag may hold no "+"."""
    shutil.copytree(ROOT / "models", tmp_path / "models")
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/list-models", tmp_path / "scripts")
    manifest = loop.manifest(tmp_path, "linear")
    manifest.write_text(manifest.read_text().replace('"v1.1.0"', '"v1.1.0+retrained"'))
    run = subprocess.run([tmp_path / "scripts/list-models", "--tags"], capture_output=True, text=True, check=True)
    assert "linear-v1.1.0_retrained" in run.stdout.split()


def test_wrong_use_is_named():
    run = subprocess.run([sys.executable, str(ROOT / "scripts/e2e-cluster")], capture_output=True, text=True)
    assert run.returncode == 2 and "--k3s" in run.stderr
