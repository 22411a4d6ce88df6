"""What `modelship check` of many models costs beside loading and running them.

usage: .venv/bin/python tests/bench/check.py [--models N] [--rounds N] [--binary FILE]

Copies of the models that ship, each under a name of its own. The other side is ONNX Runtime in this
process, loaded already: a session for each model, and a run of each of its golden cases, one after the
other. On modelship's side everything counts: the start of the process and of the library, scanning,
hashing, git, the proof of batching, and what it prints. Rounds alternate; the median ratio of their
times is what counts.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy
import onnxruntime

ROOT = Path(__file__).resolve().parents[2]
DTYPES = {"FP32": numpy.float32, "INT64": numpy.int64}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--models", type=int, default=100, help="how many (100)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds that alternate (9)")
    parser.add_argument(
        "--binary",
        type=lambda file: Path(file).resolve(),
        default=ROOT / "target/release/modelship",
        help="what checks",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        models = Path(scratch) / "models"
        sources = sorted(path.parent for path in (ROOT / "models").glob("*/model.toml"))
        for number in range(arguments.models):
            copy(sources[number % len(sources)], models, number)
        rounds = []
        for _ in range(arguments.rounds):
            engine = timed(lambda: load_and_run(models))
            checked = timed(lambda: check(arguments.binary, models))
            rounds.append((checked, engine, checked / engine))
    for name, values in zip(("check, s", "load and run, s", "ratio"), zip(*rounds, strict=True), strict=True):
        print(f"{name:16} {statistics.median(values):.3f}  ({', '.join(f'{value:.3f}' for value in values)})")


def copy(source: Path, models: Path, number: int) -> None:
    """`source` as another model."""
    name = f"{source.name}-{number}"
    folder = models / name
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.py", "*.csv", "*.md"))
    manifest = folder / "model.toml"
    manifest.write_text(re.sub(r'(?m)^name = ".*"', f'name = "{name}"', manifest.read_text(), count=1))


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def check(binary: Path, models: Path) -> None:
    command = [binary, "check", f"--models={models}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=models.parent)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def load_and_run(models: Path) -> None:
    """One after the other: the session, and each golden case."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for folder in sorted(models.iterdir()):
        session = onnxruntime.InferenceSession((folder / "model.onnx").read_bytes(), options)
        for case in sorted((folder / "cases").glob("*.json")):
            inputs = json.loads(case.read_text())["inputs"]
            session.run(None, {one["name"]: array(one) for one in inputs})


def array(tensor: dict):
    return numpy.array(tensor["data"], dtype=DTYPES[tensor["datatype"]]).reshape(tensor["shape"])


if __name__ == "__main__":
    main()
