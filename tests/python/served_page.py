"""A service that a browser visits, which may end, come back and get other models."""

import json
import os
import re
import subprocess
import time
from pathlib import Path
from urllib.request import urlopen

import onnx

import publish

COMMIT = "4f2c1d9ab03e55d1e7a6b2d8c9f00112233445566"
PATIENCE = 60
PAGE = Path(__file__).parents[2] / "src" / "transport" / "http" / "page"
AXE = PAGE / "node_modules" / "axe-core" / "axe.min.js"


def value(page, output: str):
    """What the page shows for an output."""
    return page.locator(".output").filter(has=page.get_by_role("heading", name=output, exact=True)).locator(".value")


class Served:
    """Serving `models`; leaving the context ends it."""

    def __init__(self, binary: Path, models: Path, log: Path, *flags: str):
        self.models = models
        self.log = log
        self.flags = [f"--models={models}", f"--commit={COMMIT}", "--watch-interval=100ms", "--log-format=json", *flags]
        self.binary = binary
        self.address = "127.0.0.1:0"
        self.process = None

    @property
    def origin(self) -> str:
        return f"http://{self.address}"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self) -> None:
        """Starts it, again on the port that it had."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MODELSHIP_")}
        with open(self.log, "w") as log:
            command = [self.binary, "serve", f"--listen={self.address}", *self.flags]
            self.process = subprocess.Popen(command, stderr=log, env=environment)
        until = time.monotonic() + PATIENCE
        while not (ready := re.search(r'"ready","address":"([^"]+)"', self.log.read_text())):
            assert self.process.poll() is None and time.monotonic() < until, self.log.read_text()
            time.sleep(0.02)
        self.address = ready[1]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)

    def text(self, path: str) -> str:
        with urlopen(f"{self.origin}{path}", timeout=PATIENCE) as response:
            return response.read().decode()

    def json(self, path: str):
        return json.loads(self.text(path))

    def swap(self, name: str, version: str, more: float) -> None:
        """Puts a version in place of the one that stands, which predicts `more` than it did."""
        folder = self.models / name
        model = onnx.load(folder / "model.onnx")
        (intercepts,) = (a for node in model.graph.node for a in node.attribute if a.name == "intercepts")
        intercepts.floats[0] += more
        unstamped = self.models.parent / "unstamped.onnx"
        onnx.save(model, unstamped)
        manifest = folder / "model.toml"
        manifest.write_text(re.sub(r'(?m)^version = ".*"', f'version = "{version}"', manifest.read_text(), count=1))
        publish.publish(folder, unstamped)
