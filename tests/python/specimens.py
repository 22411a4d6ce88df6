"""Models with every datatype, shape and kind of value that the protocol's tests ask for."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from open_inference.served import add

TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "BF16": TensorProto.BFLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}
FLOAT = TensorProto.FLOAT
INT64 = TensorProto.INT64


def model(nodes, inputs, outputs, initializers=()) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "specimen", inputs, outputs, initializer=initializers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def tensor(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def identity(shape, kind=FLOAT) -> onnx.ModelProto:
    return model([helper.make_node("Identity", ["x"], ["y"])], [tensor("x", shape, kind)], [tensor("y", shape, kind)])


def write(models):
    """Writes every specimen into the repository `models`."""
    for name, kind in TYPES.items():
        add(models, f"identity-{name.lower()}", identity(["n", "m"], kind))
    add(models, "scalar", identity([]))
    add(models, "any-rank", identity(None))
    add(models, "fixed", identity([2, 3]))
    add(
        models,
        "sum",
        model(
            [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Sub", ["a", "b"], ["difference"])],
            [tensor("a", ["n", 3]), tensor("b", ["n", 3])],
            [tensor("sum", ["n", 3]), tensor("difference", ["n", 3])],
        ),
    )
    add(models, "versions", identity(["n"]), version="v1.9.0")
    add(models, "versions", identity(["n"]), version="v1.10.0")
    factor = helper.make_tensor("factor", FLOAT, [1], [2.0])
    add(
        models,
        "defaults",
        model(
            [helper.make_node("Mul", ["x", "factor"], ["y"])],
            [tensor("x", ["n"]), tensor("factor", [1])],
            [tensor("y", ["n"])],
            [factor],
        ),
    )
    for name, keys in (
        ("int", {"classlabels_int64s": [7, 3, 5]}),
        ("text", {"classlabels_strings": ["no", "yes", "maybe"]}),
    ):
        key = INT64 if name == "int" else TensorProto.STRING
        maps = helper.make_sequence_type_proto(
            helper.make_map_type_proto(key, helper.make_tensor_type_proto(FLOAT, []))
        )
        add(
            models,
            f"zipmap-{name}",
            model(
                [
                    helper.make_node("ArgMax", ["x"], ["label"], axis=1, keepdims=0),
                    helper.make_node("ZipMap", ["x"], ["probabilities"], domain="ai.onnx.ml", **keys),
                ],
                [tensor("x", ["n", 3])],
                [tensor("label", ["n"], INT64), helper.make_value_info("probabilities", maps)],
            ),
        )
    sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, None))
    for name, lengths in (("ragged", [1, 3]), ("even", [2, 2])):
        split = helper.make_tensor("split", INT64, [2], lengths)
        add(
            models,
            f"sequence-{name}",
            model(
                [helper.make_node("SplitToSequence", ["x", "split"], ["y"], axis=0)],
                [tensor("x", [4])],
                [helper.make_value_info("y", sequence)],
                [split],
            ),
        )
    add(
        models,
        "sequence-in",
        model(
            [helper.make_node("ConcatFromSequence", ["s"], ["y"], axis=0)],
            [helper.make_value_info("s", sequence)],
            [tensor("y", None)],
        ),
    )
    optional = helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, [2]))
    add(
        models,
        "optional",
        model(
            [helper.make_node("Optional", ["x"], ["y"])],
            [tensor("x", [2])],
            [helper.make_value_info("y", optional)],
        ),
    )
    empty_or_not(models)


def empty_or_not(models):
    """Models with an input that may hold nothing: a tensor, a sequence, beside another, and one that needs it."""
    made = helper.make_tensor_value_info

    def otherwise(shape, kind, then, value):
        """What `then` makes of the input; where that holds nothing, `value`."""
        constant = helper.make_tensor("value", kind, [len(value)] if shape else [], value)
        branches = {
            "then_branch": helper.make_graph(then, "then", [], [made("held", kind, shape)]),
            "else_branch": helper.make_graph(
                [helper.make_node("Constant", [], ["else"], value=constant)], "else", [], [made("else", kind, shape)]
            ),
        }
        has = helper.make_node("OptionalHasElement", ["x"], ["has"])
        return [has, helper.make_node("If", ["has"], ["y"], **branches)]

    held = helper.make_node("OptionalGetElement", ["x"], ["held"])
    inside = helper.make_node("OptionalGetElement", ["x"], ["inside"])
    length = helper.make_node("SequenceLength", ["inside"], ["held"])
    float_tensor = helper.make_tensor_type_proto(FLOAT, ["n"])
    tensor_in = helper.make_value_info("x", helper.make_optional_type_proto(float_tensor))
    sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, ["n"]))
    sequence_in = helper.make_value_info("x", helper.make_optional_type_proto(sequence))
    or_seven = otherwise(["m"], FLOAT, [held], [7.0])
    or_none = otherwise([], INT64, [inside, length], [-1])
    beside = helper.make_node("Identity", ["a"], ["b"])
    needed = helper.make_node("OptionalGetElement", ["x"], ["y"])
    y = tensor("y", ["k"])
    add(models, "maybe-tensor", model(or_seven, [tensor_in], [y]))
    add(models, "maybe-sequence", model(or_none, [sequence_in], [tensor("y", [], INT64)]))
    add(models, "maybe-beside", model([*or_seven, beside], [tensor_in, tensor("a", ["p"])], [y, tensor("b", ["p"])]))
    add(models, "maybe-needed", model([needed], [tensor_in], [y]))


def samples(datatype: str) -> np.ndarray:
    """Elements of `datatype` at its edges, as an array of two rows."""
    from open_inference.tensors import DATATYPES

    dtype = DATATYPES[datatype]
    if datatype == "BOOL":
        return np.array([[True, False], [False, True]])
    if datatype == "BYTES":
        return np.array([["", "plain"], ["é🦀\x1f\n", '"quoted" \\ ']], dtype=object)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.array([[limits.min, limits.max], [0, limits.max - 1]], dtype)
    import ml_dtypes

    limits = ml_dtypes.finfo(dtype)
    values = [[limits.max, limits.smallest_subnormal, 0.1], [np.nan, -np.inf, -0.0]]
    return np.array(values).astype(dtype)
