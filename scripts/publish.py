"""Makes a trained ONNX file the model of a folder: stamps it, hashes it, records its golden cases.

usage: publish.py FOLDER FILE

FOLDER holds a `model.toml` with the version to stamp, and `cases/*.json` with the inputs to
record the outputs of. Where the least and greatest values that the model was trained on lie beside
FILE, as `onnx_export.py` writes them, they become `[ranges]`. What is right already is not written
again.
"""

import json
import re
import sys
import tomllib
from hashlib import sha256
from pathlib import Path

import numpy
import onnx
import onnxruntime

# The Open Inference Protocol's datatypes and NumPy's names for them.
DATATYPES = {
    "BOOL": "bool",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "object",
}
DATATYPE_OF = {dtype: datatype for datatype, dtype in DATATYPES.items()}


def publish(folder: Path, file: Path) -> None:
    """Puts `file` into `folder` as its model, with the version that `model.toml` gives."""
    text = (folder / "model.toml").read_text()
    manifest = tomllib.loads(text)
    graph = next(entry for entry in manifest["files"] if entry["path"].endswith(".onnx"))
    content = stamp(file.read_bytes(), manifest["version"])
    write(folder / graph["path"], content)
    text = text.replace(graph["sha256"], sha256(content).hexdigest())
    ranges = file.with_suffix(".ranges.json")
    if ranges.exists():
        text = with_ranges(text, json.loads(ranges.read_text()))
    write(folder / "model.toml", text.encode())
    session = onnxruntime.InferenceSession(content)
    for path in sorted((folder / "cases").glob("*.json")):
        case = json.loads(path.read_text())
        write(path, render(case["inputs"], run(session, case["inputs"])).encode())


def stamp(content: bytes, version: str) -> bytes:
    """The ONNX file `content` with `version` as its `model_version`, and no other change."""
    model = onnx.load_from_string(content)
    for entry in model.metadata_props:
        if entry.key == "model_version":
            entry.value = version
            break
    else:
        model.metadata_props.add(key="model_version", value=version)
    return model.SerializeToString(deterministic=True)


def with_ranges(text: str, ranges: dict[str, list[float]]) -> str:
    """The manifest `text` with `ranges` in the place of its own, or at its end."""
    bare = re.compile(r"[A-Za-z0-9_-]+")
    lines = (
        f"{name if bare.fullmatch(name) else json.dumps(name)} = {json.dumps([plain(low), plain(high)])}\n"
        for name, (low, high) in ranges.items()
    )
    table = "[ranges]\n" + "".join(lines)
    old = re.search(r"^\[ranges\]\n(?:[^\[\n].*\n)*", text, re.M)
    if old:
        return text[: old.start()] + table + text[old.end() :]
    return text.rstrip("\n") + "\n\n" + table


def run(session: onnxruntime.InferenceSession, inputs: list[dict]) -> list[dict]:
    """What the model answers to `inputs`, both in the form of the Open Inference Protocol."""
    feed = {
        tensor["name"]: numpy.array(tensor["data"], dtype=DATATYPES[tensor["datatype"]]).reshape(tensor["shape"])
        for tensor in inputs
    }
    names = [output.name for output in session.get_outputs()]
    return [
        {
            "name": name,
            "shape": list(value.shape),
            "datatype": DATATYPE_OF[value.dtype.name],
            "data": [plain(item) for item in value.ravel()],
        }
        for name, value in zip(names, session.run(names, feed), strict=True)
    ]


def plain(item):
    """`item` for JSON: a float with the fewest digits that read back as the same value."""
    if isinstance(item, float | numpy.floating):
        item = float(str(item))
        return int(item) if item.is_integer() and abs(item) < 2**53 else item
    return item.item() if isinstance(item, numpy.generic) else item


def render(inputs: list[dict], outputs: list[dict]) -> str:
    """A golden case as JSON, one line for each tensor."""
    sides = (
        f'  "{side}": [\n    ' + ",\n    ".join(map(json.dumps, tensors)) + "\n  ]"
        for side, tensors in (("inputs", inputs), ("outputs", outputs))
    )
    return "{\n" + ",\n".join(sides) + "\n}\n"


def write(path: Path, content: bytes) -> None:
    """Makes `content` the whole of `path` in one step, unless it is that already."""
    if path.exists() and path.read_bytes() == content:
        return
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.split("\n")[2])
    publish(Path(sys.argv[1]), Path(sys.argv[2]))
