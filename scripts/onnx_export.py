"""Turns a fitted scikit-learn estimator into an ONNX file whose bytes depend on nothing else.

The models' `train.py` call `export`; `scripts/train` puts this folder on their path.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import DataType


def export(
    estimator,
    path: str | Path,
    *,
    name: str,
    inputs: Mapping[str, DataType],
    outputs: list[str],
    trained_on: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """Writes `estimator` to `path` as the graph `name`.

    The inputs and outputs carry the names given, in that order, and their first dimension is
    called `batch`. A classifier gives its probabilities as one tensor, not as a sequence of maps.
    `trained_on` holds the values of each feature; the least and the greatest of each are written
    beside `path`, from where scripts/train puts them into `model.toml`.
    """
    model = convert_sklearn(
        estimator,
        name=name,
        initial_types=list(inputs.items()),
        options={id(estimator): {"zipmap": False}} if hasattr(estimator, "classes_") else None,
    )
    rename(model.graph, {old.name: new for old, new in zip(model.graph.output, outputs, strict=True)})
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    # skl2onnx lists operator sets twice, and in an order that changes from run to run.
    opsets = {opset.domain: opset.version for opset in model.opset_import}
    del model.opset_import[:]
    for domain, version in sorted(opsets.items()):
        model.opset_import.add(domain=domain, version=version)
    onnx.checker.check_model(model, full_check=True)
    Path(path).write_bytes(model.SerializeToString(deterministic=True))
    if trained_on:
        ranges = {feature: [float(min(values)), float(max(values))] for feature, values in trained_on.items()}
        Path(path).with_suffix(".ranges.json").write_text(json.dumps(ranges))


def rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Gives the tensors of `graph` that `names` lists their new names."""
    for value in graph.output:
        value.name = names[value.name]
    for node in graph.node:
        for tensors in (node.input, node.output):
            tensors[:] = [names.get(tensor, tensor) for tensor in tensors]
