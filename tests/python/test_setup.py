"""scripts/setup: whole from nothing, nothing to do the second time, and safe to interrupt."""

import os
import re
import shutil
import subprocess
import sys

import onnxruntime
import pytest

LIBRARY = "libonnxruntime.dylib" if sys.platform == "darwin" else "libonnxruntime.so"


@pytest.fixture
def copy(root, tmp_path):
    """A repository that has only the scripts."""
    shutil.copytree(root / "scripts", tmp_path / "scripts")
    return tmp_path


def start(copy, *flags, **settings) -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DYLIB_PATH"}
    return subprocess.Popen(
        [copy / "scripts" / "setup", *flags],
        env={**environment, **settings},
        cwd="/",
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def setup(copy, *flags, **settings) -> str:
    process = start(copy, *flags, **settings)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def state(folder) -> dict[str, tuple[int, int]]:
    files = (path for part in (".tools", ".venv") for path in (folder / part).rglob("*"))
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in files
        if path.is_file() and path.suffix != ".pyc" and path.name != "setup.lock"
    }


def test_a_second_run_does_nothing(root):
    setup(root)
    before = state(root)
    assert setup(root) == ""
    assert state(root) == before


def test_two_at_once_then_a_repair(copy):
    both = [start(copy, "--runtime"), start(copy, "--runtime")]
    outputs = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum("fetching ONNX Runtime" in output for output in outputs) == 1
    library = copy / ".tools" / "onnxruntime" / "lib" / LIBRARY
    wheel = library.read_bytes()
    assert onnxruntime.__version__.encode() in wheel

    # What an interrupted run leaves: a part, no library, a .venv that was never finished.
    (copy / ".tools" / "onnxruntime.interrupted").mkdir()
    library.unlink()
    (copy / ".venv" / "made").unlink()
    assert "fetching ONNX Runtime" in setup(copy, "--runtime")
    assert library.read_bytes() == wheel
    assert not list((copy / ".tools").glob("onnxruntime.*"))


def test_another_hash_is_refused(copy):
    pins = copy / "scripts" / "requirements" / "onnxruntime.txt"
    pins.write_text(re.sub(r"sha256:\w{4}", "sha256:0000", pins.read_text()))
    process = start(copy, "--runtime")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "DO NOT MATCH THE HASHES" in output
    assert not (copy / ".tools" / "onnxruntime").exists()


def test_a_library_of_ones_own_is_left_alone(copy):
    assert setup(copy, "--runtime", ORT_DYLIB_PATH="/a/library.so") == ""
    assert not (copy / ".tools" / "onnxruntime").exists()


def test_the_server_and_training_have_the_same_onnxruntime(root):
    requirements = root / "scripts" / "requirements"
    pins = {
        re.search(r"^onnxruntime==(\S+)", (requirements / name).read_text(), re.M)[1]
        for name in ("onnxruntime.txt", "train.in", "train.txt")
    }
    assert pins == {onnxruntime.__version__}
