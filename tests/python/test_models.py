"""The models of this repository are what their folders say, and training gives them again."""

import json
import os
import shutil
import subprocess
import tomllib
from hashlib import sha256
from pathlib import Path

import numpy
import onnx
import onnxruntime
import pytest

import publish

MODELS = Path(__file__).parents[2] / "models"
FOLDERS = sorted(manifest.parent for manifest in MODELS.rglob("model.toml"))
CASES = sorted(MODELS.rglob("cases/*.json"))


def named(path: Path) -> str:
    return str(path.relative_to(MODELS))


def manifest(folder: Path) -> dict:
    return tomllib.loads((folder / "model.toml").read_text())


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_hashes_are_those_of_the_files(folder):
    files = manifest(folder)["files"]
    assert files
    for file in files:
        assert sha256((folder / file["path"]).read_bytes()).hexdigest() == file["sha256"]


@pytest.mark.parametrize("folder", FOLDERS, ids=named)
def test_stamp_is_the_version(folder):
    model = onnx.load(folder / "model.onnx")
    stamps = [entry.value for entry in model.metadata_props if entry.key == "model_version"]
    assert stamps == [manifest(folder)["version"]]


@pytest.mark.parametrize("path", CASES, ids=named)
def test_golden_case_holds(path):
    folder = path.parent.parent
    tolerance = {"absolute": 1e-6, "relative": 1e-5} | manifest(folder).get("golden", {})
    case = json.loads(path.read_text())
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    answers = publish.run(session, case["inputs"])
    assert len(answers) == len(case["outputs"])
    for answer, wanted in zip(answers, case["outputs"], strict=True):
        for key in ("name", "shape", "datatype"):
            assert answer[key] == wanted[key]
        if wanted["datatype"] == "BYTES":
            assert answer["data"] == wanted["data"]
        else:
            numpy.testing.assert_allclose(
                answer["data"],
                wanted["data"],
                rtol=tolerance["relative"],
                atol=tolerance["absolute"],
            )


def rows(path: Path) -> int:
    return json.loads(path.read_text())["inputs"][0]["shape"][0]


@pytest.mark.parametrize("path", [path for path in CASES if rows(path) > 1], ids=named)
def test_a_batch_gives_what_its_rows_give(path):
    inputs = json.loads(path.read_text())["inputs"]
    session = onnxruntime.InferenceSession(path.parent.parent / "model.onnx")
    together = publish.run(session, inputs)
    for row in range(rows(path)):
        alone = publish.run(session, [only(row, tensor) for tensor in inputs])
        for wanted, answer in zip((only(row, tensor) for tensor in together), alone, strict=True):
            assert answer["shape"] == wanted["shape"]
            if wanted["datatype"] == "BYTES":
                assert answer["data"] == wanted["data"]
            else:
                numpy.testing.assert_allclose(answer["data"], wanted["data"], rtol=1e-5, atol=1e-6)


def only(row: int, tensor: dict) -> dict:
    """The one row `row` of `tensor`."""
    count, *rest = tensor["shape"]
    width = len(tensor["data"]) // count
    return tensor | {
        "shape": [1, *rest],
        "data": tensor["data"][row * width : (row + 1) * width],
    }


def test_linear_gives_exactly_48_at_21():
    session = onnxruntime.InferenceSession(MODELS / "linear" / "model.onnx")
    (answer,) = session.run(None, {"distance_km": numpy.array([[21]], numpy.float32)})
    assert answer.dtype == numpy.float32
    assert answer.tolist() == [[48.0]]


def test_training_gives_the_same_bytes(root, tmp_path):
    """Twice, in Pythons that order their sets differently, and on a copy that has lost the rest."""
    for seed in ("1", "2"):
        models = tmp_path / seed
        shutil.copytree(MODELS, models)
        for folder in (models / folder.relative_to(MODELS) for folder in FOLDERS):
            if not (folder / "train.py").exists():
                continue
            (folder / "model.onnx").unlink()
            text = (folder / "model.toml").read_text()
            for file in manifest(folder)["files"]:
                text = text.replace(file["sha256"], "0" * 64)
            text, _, _ = text.partition("\n[ranges]")
            (folder / "model.toml").write_text(text)
            for path in (folder / "cases").glob("*.json"):
                inputs = json.loads(path.read_text())["inputs"]
                path.write_text(json.dumps({"inputs": inputs}))
        subprocess.run(
            [root / "scripts" / "train", "--models", models],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
        )
        assert contents(models) == contents(MODELS)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_stamp_is_all_that_publishing_changes():
    content = (MODELS / "iris" / "model.onnx").read_bytes()
    assert publish.stamp(content, "v1.0.0") == content
    newer = onnx.load_from_string(publish.stamp(content, "v9.8.7"))
    assert [(entry.key, entry.value) for entry in newer.metadata_props] == [("model_version", "v9.8.7")]
    newer.metadata_props[0].value = "v1.0.0"
    assert newer.SerializeToString(deterministic=True) == content
