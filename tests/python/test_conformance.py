"""ONNX's conformance tests: one for each operator, and every network. scripts/conformance runs
them all."""

import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from open_inference import cases, conformance
from open_inference.served import Server


def test_one_model_for_each_operator_is_served():
    report = conformance.run_here(cases.subset())
    assert report.passed, report
    assert len(report.of("served")) > 200, report
    # Nothing is left out but for ONNX Runtime's own reasons.
    theirs = ("ONNX Runtime can't", "ONNX Runtime's own answer")
    assert not [o for o in report.of("left out") if not o.reason.startswith(theirs)], report


@pytest.fixture(scope="module")
def some():
    wanted = re.compile("^test_(abs|relu|adam|sequence_insert_at_back)$")
    return [case for case in cases.collect() if wanted.match(case.name)]


def by_hand(root, *arguments):
    command = [sys.executable, root / "scripts" / "conformance", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_a_server_at_another_address_is_asked(root, some, tmp_path):
    # What can't be loaded would keep a modelship from its start.
    assert conformance.export(some, tmp_path / "models", "modelship") == len(some) - 1
    assert conformance.export(some, tmp_path / "plain", "plain") == len(some)
    assert (tmp_path / "plain" / "adam" / "1" / "model.onnx").is_file()
    with Server(tmp_path / "models", "--watch=off") as server:
        file = tmp_path / "report.json"
        done = by_hand(root, "--only=^test_(abs|adam)$", "--url", server.address, "--report", file)
        assert done.returncode == 0 and "1 passed, 0 failed, 1 skipped" in done.stdout, done
        outcomes = {o["name"]: o for o in json.loads(file.read_text())["outcomes"]}
        assert outcomes["test_abs"]["result"] == "served" and len(outcomes["test_abs"]["encodings"]) == 4
        assert outcomes["test_adam"]["reason"] == "the server does not serve this model"
        for grpc, count in ((server.address, 4), ("none", 2)):
            report = conformance.run_there(server.address, some, grpc)
            assert report.passed and len(report.of("served")) == len(some) - 1, report
            assert len(report.of("served")[0].encodings) == count
        with pytest.raises(conformance.NobodyThereError, match=r"gRPC at 127\.0\.0\.1:1: .*--grpc-url"):
            conformance.run_there(server.address, some, "127.0.0.1:1")


def test_wrong_use_is_said(root):
    for wrong, why in (
        (("--only=^test_abs$", "--url", "127.0.0.1:1"), "no server answers REST at 127.0.0.1:1"),
        (("--grpc-url", "none"), "goes with --url"),
    ):
        done = by_hand(root, *wrong)
        assert done.returncode == 2 and why in done.stderr and "Traceback" not in done.stderr, done


def test_what_another_server_answers_wrongly_is_a_failure(some):
    """A server that says it is ready, and answers what is no inference."""

    class Odd(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        report = conformance.run_there(f"127.0.0.1:{server.server_address[1]}", some, "none")
        server.shutdown()
    assert len(report.of("failed")) == len(some) and not report.passed, report
