"""What the proofs of the delivery loop share: a git remote over HTTP, changes of a model, a
constant load. Used by scripts/e2e-cluster and tests/delivery; standard library alone."""

import base64
import hashlib
import http.client
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def git(*args: str, cwd: Path) -> str:
    run = subprocess.run(["git", *args], cwd=cwd, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"git {' '.join(args)}: {run.stderr.strip()}")
    return run.stdout.strip()


class GitRemote:
    """Bare repositories over HTTP, by git's own http-backend. Anybody may fetch; to push, the
    token has to be shown."""

    def __init__(self, folder: Path, address: str = "127.0.0.1", token: str | None = None):
        self.folder, self.token = folder, token
        remote = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                remote.answer(self)

            do_POST = do_GET

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer((address, 0), Handler)
        self.url = f"http://{address}:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def create(self, name: str) -> str:
        bare = self.folder / f"{name}.git"
        git("init", "--quiet", "--bare", "--initial-branch=main", str(bare), cwd=self.folder)
        git("config", "http.receivepack", "true", cwd=bare)
        git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=bare)
        return f"{self.url}/{name}.git"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path, _, query = request.path.partition("?")
        if self.token and "git-receive-pack" in request.path:
            wanted = base64.b64encode(f"x-access-token:{self.token}".encode()).decode()
            if request.headers.get("Authorization") != f"Basic {wanted}":
                request.send_response(401)
                request.send_header("WWW-Authenticate", 'Basic realm="git"')
                request.send_header("Content-Length", "0")
                request.end_headers()
                return
        environment = os.environ | {
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": request.command,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "release",
            "REMOTE_ADDR": request.client_address[0],
        }
        body = b"".join(pieces(request))
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        request.send_response(int(headers.pop("Status", "200").split()[0]))
        for key, value in headers.items():
            request.send_header(key, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def pieces(request: BaseHTTPRequestHandler):
    """The body: of a known length, or in chunks, as git sends what is larger than a mebibyte."""
    if request.headers.get("Transfer-Encoding", "").lower() != "chunked":
        yield request.rfile.read(int(request.headers.get("Content-Length", 0)))
        return
    while size := int(request.rfile.readline().split(b";")[0], 16):
        yield request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()


# --- changes of a model, in a working tree


def manifest(tree: Path, model: str) -> Path:
    return tree / "models" / model / "model.toml"


def version(tree: Path, model: str) -> str:
    return re.search(r'^version = "(.+)"', manifest(tree, model).read_text(), re.M)[1]


def next_version(tree: Path, model: str) -> str:
    """Gives the model the next minor version: stamp, manifest and sha256, as a release would.

    The stamp is changed in place, so the new number must be as long as the old."""
    old = version(tree, model)
    major, minor, patch = old.removeprefix("v").split(".")
    new = f"v{major}.{int(minor) + 1}.{patch}"
    if len(new) != len(old):
        raise ValueError(f"{new} is longer than {old}")
    onnx = tree / "models" / model / "model.onnx"
    before = onnx.read_bytes()
    if before.count(old.encode()) != 1:
        raise ValueError(f"{onnx} does not hold its version once")
    onnx.write_bytes(before.replace(old.encode(), new.encode()))
    text = manifest(tree, model).read_text().replace(f'version = "{old}"', f'version = "{new}"')
    manifest(tree, model).write_text(text.replace(digest(before), digest(onnx.read_bytes())))
    return new


def tamper(tree: Path, model: str) -> None:
    """A byte more in the model than when it was hashed."""
    onnx = tree / "models" / model / "model.onnx"
    onnx.write_bytes(onnx.read_bytes() + b"\0")


def break_a_golden_case(tree: Path, model: str) -> None:
    """An honest file that does not give what it should."""
    case = sorted((tree / "models" / model / "cases").glob("*.json"))[0]
    content = json.loads(case.read_text())

    def shift(value):
        return [shift(v) for v in value] if isinstance(value, list) else value + 1000

    content["outputs"][0]["data"] = shift(content["outputs"][0]["data"])
    case.write_text(json.dumps(content))


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def clone(source: Path, target: Path, changes: dict[str, str]) -> Path:
    """The tree of that repository as it is committed, as a new repository of one commit, with
    settings of its own."""
    target.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=source, capture_output=True, check=True)
    subprocess.run(["tar", "-x", "-C", str(target)], input=archive.stdout, check=True)
    file = target / "gitops/settings/settings.env"
    text = file.read_text()
    for key, value in changes.items():
        text, count = re.subn(rf"^{key}=.*$", f"{key}={value}", text, flags=re.M)
        if count != 1:
            raise ValueError(f"settings.env has no {key}")
    file.write_text(text)
    git("init", "--quiet", "--initial-branch=main", cwd=target)
    commit(target, "Start")
    return target


def commit(tree: Path, message: str) -> str:
    git("add", "--all", cwd=tree)
    git("commit", "--quiet", "--message", message, cwd=tree)
    return git("rev-parse", "HEAD", cwd=tree)


# --- a constant load


class Load:
    """Asks a URL from several threads without a pause, each request on a connection of its own
    or on one kept open, and counts every answer. Bounded: it ends by itself after `seconds`."""

    def __init__(self, host: str, port: int, path: str, threads: int = 4, seconds: int = 900):
        self.host, self.port, self.path = host, port, path
        self.end = time.monotonic() + seconds
        self.stopped = threading.Event()
        self.lock = threading.Lock()
        self.answers: Counter = Counter()
        self.failures: list[str] = []
        self.workers = [threading.Thread(target=self.work, args=(n % 2 == 0,), daemon=True) for n in range(threads)]

    def __enter__(self):
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for worker in self.workers:
            worker.join(30)

    def work(self, keep: bool) -> None:
        connection = None
        while not self.stopped.is_set() and time.monotonic() < self.end:
            fresh = connection is None
            try:
                connection = connection or http.client.HTTPConnection(self.host, self.port, timeout=10)
                connection.request("GET", self.path, headers={} if keep else {"Connection": "close"})
                answer = connection.getresponse()
                body = answer.read().decode()
                self.note(answer.status, body)
                if answer.will_close or not keep:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                if connection:
                    connection.close()
                connection = None
                # An idle connection may be closed by the server; HTTP lets a client ask again.
                if fresh or not isinstance(error, (http.client.RemoteDisconnected, ConnectionResetError)):
                    self.note(None, repr(error))
            time.sleep(0.005)

    def note(self, status: int | None, body: str) -> None:
        with self.lock:
            if status == 200:
                self.answers[json.loads(body).get("model_version", "?")] += 1
            else:
                self.failures.append(f"{status}: {body}")


def need(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise SystemExit(f"not found: {', '.join(missing)}")
