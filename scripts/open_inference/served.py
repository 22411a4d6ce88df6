"""A service of this repository's own binary, and models made for a test."""

import hashlib
import json
import os
import subprocess
import tempfile
import threading
from pathlib import Path

import onnx

ROOT = Path(__file__).resolve().parents[2]


def binary() -> Path:
    """The program that cargo built: MODELSHIP_BINARY, or the newest in target/."""
    if named := os.environ.get("MODELSHIP_BINARY"):
        return Path(named)
    built = [p for p in (ROOT / "target").glob("*/modelship") if p.is_file()]
    if not built:
        raise FileNotFoundError("there is no target/*/modelship: run cargo build")
    return max(built, key=lambda p: p.stat().st_mtime)


def add(models: Path, name: str, model: onnx.ModelProto, version: str = "v1.0.0", settings: str = "") -> Path:
    """Writes `model` into the repository `models`, and gives its folder."""
    stamped = onnx.ModelProto()
    stamped.CopyFrom(model)
    kept = [p for p in stamped.metadata_props if p.key != "model_version"]
    del stamped.metadata_props[:]
    stamped.metadata_props.extend(kept)
    stamped.metadata_props.add(key="model_version", value=version)
    graph = stamped.SerializeToString()
    folder = models / name / version
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(graph)
    (folder / "model.toml").write_text(
        f"name = {json.dumps(name)}\n"
        f"version = {json.dumps(version)}\n"
        'description = "A model for a test"\n\n'
        "[[files]]\n"
        'path = "model.onnx"\n'
        f'sha256 = "{hashlib.sha256(graph).hexdigest()}"\n'
        f"{settings}"
    )
    return folder


def add_by_command(models: Path, name: str, model: onnx.ModelProto, cases: Path | None = None) -> str:
    """Adds `model` as a person would, by `modelship add`; gives why it was refused, or nothing."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(model.SerializeToString())
        given = [f"--cases={cases}"] if cases else []
        done = subprocess.run(
            [binary(), "add", file, f"--name={name}", "--version=v1.0.0", f"--models={models}", *given],
            cwd=ROOT,
            env=_environment(),
            capture_output=True,
            text=True,
        )
    if done.returncode == 0:
        return ""
    return " ".join((done.stderr or done.stdout).split()) or f"exit status {done.returncode}"


def _environment() -> dict:
    """This process's environment, less the settings of a service."""
    return {k: v for k, v in os.environ.items() if not k.startswith("MODELSHIP_")}


class Server:
    """A running service; leaving the context ends it."""

    def __init__(self, models: Path, *flags: str):
        self.process = subprocess.Popen(
            [
                binary(),
                "serve",
                f"--models={models}",
                "--listen=127.0.0.1:0",
                "--log-format=json",
                *flags,
            ],
            env=_environment(),
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        lines: list[str] = []
        for line in self.process.stderr:
            lines.append(line)
            if '"ready"' in line and '"address"' in line:
                self.address = _find(json.loads(line), "address")
                break
        else:
            raise RuntimeError("the service did not become ready:\n" + "".join(lines))
        # Whoever reads nothing more lets the pipe fill, and then the service waits.
        self.lines = lines
        threading.Thread(target=lambda: lines.extend(self.process.stderr), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def stop(self) -> int:
        """Ends the service as Kubernetes would, and gives its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()


def _find(entry, key: str):
    if key in entry:
        return entry[key]
    return next(v for k in entry.values() if isinstance(k, dict) and (v := k.get(key)))
