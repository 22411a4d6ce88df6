"""ONNX's own conformance tests: models with inputs, and the outputs that they must give."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

DATA = Path(onnx.backend.test.__file__).parent / "data"


@dataclass
class Case:
    """One test: a model, and data sets of inputs and outputs."""

    name: str
    kind: str
    model: onnx.ModelProto
    data_sets: list
    rtol: float
    atol: float

    def inputs(self, values) -> list:
        """The names of the inputs beside their values, less those that are not given."""
        initialized = {i.name for i in self.model.graph.initializer}
        names = [i.name for i in self.model.graph.input]
        if len(names) != len(values):
            names = [name for name in names if name not in initialized]
        return [(name, value) for name, value in zip(names, values) if value is not None]

    def write(self, folder: Path):
        """Writes the data sets into `folder`, in ONNX's own form."""
        names = [i.name for i in self.model.graph.input]
        for number, (inputs, outputs) in enumerate(self.data_sets):
            data = folder / f"test_data_set_{number}"
            data.mkdir(parents=True)
            given = dict(self.inputs(inputs))
            sides = (("input", [given.get(name) for name in names]), ("output", outputs))
            for side, values in sides:
                for index, value in enumerate(values):
                    if isinstance(value, np.ndarray):
                        path = data / f"{side}_{index}.pb"
                        path.write_bytes(numpy_helper.from_array(value).SerializeToString())

    @property
    def output_names(self) -> list[str]:
        return [o.name for o in self.model.graph.output]

    def compare(self, expected, outputs):
        """Holds `outputs` to `expected` by the suite's own tolerances. The parts of a sequence
        are held one by one: the suite itself can't compare scalars in one."""
        assert len(expected) == len(outputs), f"{len(outputs)} outputs where {len(expected)} must come"
        for e, o in zip(expected, outputs):
            if isinstance(e, (list, tuple)):
                assert len(e) == len(o), f"a sequence of {len(o)} where {len(e)} must come"
                Runner.assert_similar_outputs(e, [np.asarray(part) for part in o], self.rtol, self.atol)
            else:
                Runner.assert_similar_outputs([e], [o], self.rtol, self.atol)


def collect() -> Iterator[Case]:
    """Every test that the onnx package brings with it."""
    for kind in ("node", "simple", "pytorch-converted", "pytorch-operator", "real"):
        for test in load_model_tests(kind=kind):
            model, data_sets = _load(test)
            data_sets = [tuple([_value(v) for v in side] for side in data) for data in data_sets]
            yield Case(test.name, kind, model, data_sets, test.rtol, test.atol)


def _load(test):
    if test.model is not None:
        return test.model, test.data_sets
    if test.url and test.url.startswith("onnx/backend/test/data/light/"):
        path = DATA / "light" / Path(test.url).name
        model = onnx.load(path)
        initialized = {i.name for i in model.graph.initializer}
        given = [i for i in model.graph.input if i.name not in initialized]
        inputs = [Runner.generate_dummy_data(i, seed=0, name=test.name, random=False) for i in given]
        output = onnx.TensorProto()
        output.ParseFromString(path.with_name(f"{path.stem}_output_0.pb").read_bytes())
        return model, [(inputs, [output])]
    folder = Path(test.model_dir)
    model = onnx.load(folder / "model.onnx")
    sets = []
    for data in sorted(folder.glob("test_data_set_*")):
        inputs = [_read(p, i) for p, i in zip(_numbered(data, "input"), model.graph.input)]
        outputs = [_read(p, o) for p, o in zip(_numbered(data, "output"), model.graph.output)]
        sets.append((inputs, outputs))
    return model, sets


def _numbered(folder: Path, side: str) -> list[Path]:
    count = len(list(folder.glob(f"{side}_*.pb")))
    return [folder / f"{side}_{i}.pb" for i in range(count)]


def _read(path: Path, info):
    kind = info.type.WhichOneof("value")
    proto = {
        "tensor_type": onnx.TensorProto,
        "sequence_type": onnx.SequenceProto,
        "optional_type": onnx.OptionalProto,
    }[kind]()
    proto.ParseFromString(path.read_bytes())
    return proto


@functools.singledispatch
def _value(value):
    return value


@_value.register
def _(value: onnx.TensorProto):
    return numpy_helper.to_array(value)


@_value.register
def _(value: onnx.SequenceProto):
    return numpy_helper.to_list(value)


@_value.register
def _(value: onnx.OptionalProto):
    return numpy_helper.to_optional(value)


@_value.register
def _(value: np.generic):
    return np.asarray(value)


def subset() -> Iterator[Case]:
    """One test for each operator and type of value, and every network."""
    seen = set()
    for case in collect():
        graph = case.model.graph
        kinds = tuple(sorted({v.type.WhichOneof("value") for v in (*graph.input, *graph.output)}))
        operator = graph.node[0].op_type if graph.node else ""
        key = (operator, kinds, case.name.endswith("_expanded"))
        if case.kind == "real" or key not in seen:
            seen.add(key)
            yield case
