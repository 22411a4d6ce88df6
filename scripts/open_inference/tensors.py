"""numpy's arrays and the protocol's tensors.

A value of a test is an array, a list of arrays (a sequence), or None (nothing at all). A
sequence of arrays of one shape goes stacked; of several shapes it goes flat, with the shapes as
a parameter of the tensor.
"""

import json
import struct
from dataclasses import dataclass, field

import ml_dtypes
import numpy as np

DATATYPES = {
    "BOOL": np.dtype(bool),
    **{f"UINT{8 * n}": np.dtype(f"u{n}") for n in (1, 2, 4, 8)},
    **{f"INT{8 * n}": np.dtype(f"i{n}") for n in (1, 2, 4, 8)},
    "FP16": np.dtype("f2"),
    "FP32": np.dtype("f4"),
    "FP64": np.dtype("f8"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "BYTES": np.dtype(object),
}
NAMES = {dtype: name for name, dtype in DATATYPES.items()}
SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


# Elements that the protocol has no datatype for travel in the smallest that holds them all.
WIDER = {
    "float8_e4m3fn": "FP16",
    "float8_e4m3fnuz": "FP16",
    "float8_e5m2": "FP16",
    "float8_e5m2fnuz": "FP16",
    "float8_e8m0fnu": "FP32",
    "int4": "INT8",
    "int2": "INT8",
    "uint4": "UINT8",
    "uint2": "UINT8",
}


class NoDatatypeError(Exception):
    """The protocol has no datatype for these elements."""


@dataclass
class Tensor:
    """A tensor as it travels."""

    name: str
    array: np.ndarray
    parameters: dict = field(default_factory=dict)

    @property
    def datatype(self) -> str:
        return NAMES[self.array.dtype]


def pack(name: str, value) -> Tensor:
    """`value` as one tensor."""
    if not isinstance(value, (list, tuple)):
        return Tensor(name, normal(value))
    parts = [normal(part) for part in value]
    if not parts:
        return Tensor(name, np.zeros(0, np.float32))
    if len({part.shape for part in parts}) == 1:
        return Tensor(name, np.stack(parts))
    flat = np.concatenate([part.reshape(-1) for part in parts])
    return Tensor(name, flat, {"shapes": json.dumps([part.shape for part in parts])})


def unpack(tensor: Tensor, like):
    """The value that `tensor` stands for, where `like` is what is expected."""
    if not isinstance(like, (list, tuple)):
        is_wider = NAMES.get(tensor.array.dtype) == WIDER.get(like.dtype.name, "")
        return tensor.array.astype(like.dtype) if is_wider else tensor.array
    if "shapes" not in tensor.parameters:
        return list(tensor.array)
    parts, start = [], 0
    for shape in json.loads(tensor.parameters["shapes"]):
        size = int(np.prod(shape))
        parts.append(tensor.array[start : start + size].reshape(shape))
        start += size
    return parts


def normal(value) -> np.ndarray:
    """`value` as an array whose type the protocol has a word for."""
    array = np.asarray(value)
    if array.dtype.kind in "US":
        array = array.astype(object)
    if array.dtype.name in WIDER:
        return array.astype(DATATYPES[WIDER[array.dtype.name]])
    array = array.astype(array.dtype.newbyteorder("="))
    if array.dtype not in NAMES:
        raise NoDatatypeError(f"the protocol has no datatype for {array.dtype}")
    return array


def to_json(array: np.ndarray) -> list:
    """The elements as JSON's values."""
    if array.dtype == object:
        return [text(element) for element in array.reshape(-1)]
    if array.dtype.kind in "biu":
        return array.reshape(-1).tolist()
    values = array.astype(np.float64).reshape(-1).tolist()
    if np.isfinite(array.astype(np.float64)).all():
        return values
    words = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return [words.get(repr(value), value) for value in values]


def from_json(datatype: str, shape: list, data: list) -> np.ndarray:
    """The array of JSON's values."""
    dtype = DATATYPES[datatype]
    if dtype.kind == "O":
        return np.array(data, dtype=object).reshape(shape)
    if dtype.kind not in "biu":
        data = [SPECIAL[value] if isinstance(value, str) else value for value in data]
        return np.array(data, dtype=np.float64).astype(dtype).reshape(shape)
    return np.array(data, dtype=dtype).reshape(shape)


def to_raw(array: np.ndarray) -> bytes:
    """The elements as bytes."""
    if array.dtype != object:
        return np.ascontiguousarray(array).tobytes()
    elements = [text(element).encode() for element in array.reshape(-1)]
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def from_raw(datatype: str, shape: list, raw: bytes) -> np.ndarray:
    """The array of bytes."""
    dtype = DATATYPES[datatype]
    if dtype.kind != "O":
        return np.frombuffer(raw, dtype).reshape(shape)
    elements, start = [], 0
    while start < len(raw):
        (length,) = struct.unpack_from("<I", raw, start)
        elements.append(raw[start + 4 : start + 4 + length].decode())
        start += 4 + length
    return np.array(elements, dtype=object).reshape(shape)


def text(element) -> str:
    """An element of an array of text."""
    return element.decode() if isinstance(element, bytes) else str(element)
