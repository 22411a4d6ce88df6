"""Tensors on the wire: the Open Inference Protocol in JSON, in binary, and as protobuf."""

import json
from collections.abc import Iterator

import numpy

# The protocol's datatypes that the benchmark's models have.
DTYPES = {"FP32": numpy.dtype("<f4"), "INT64": numpy.dtype("<i8")}

# The header of a binary body that says where its JSON ends.
JSON_LENGTH = "inference-header-content-length"

Tensors = dict[str, numpy.ndarray]


def arrays(tensors: list[dict]) -> Tensors:
    """The tensors of a golden case, or of an answer in JSON."""
    return {
        tensor["name"]: numpy.array(tensor["data"], DTYPES[tensor["datatype"]]).reshape(tensor["shape"])
        for tensor in tensors
    }


def datatype(array: numpy.ndarray) -> str:
    return next(name for name, dtype in DTYPES.items() if dtype == array.dtype)


def description(name: str, array: numpy.ndarray) -> dict:
    return {"name": name, "shape": list(array.shape), "datatype": datatype(array)}


def json_request(inputs: Tensors) -> bytes:
    tensors = [description(name, array) | {"data": array.ravel().tolist()} for name, array in inputs.items()]
    return json.dumps({"inputs": tensors}, separators=(",", ":")).encode()


def binary_request(inputs: Tensors) -> tuple[bytes, int]:
    """The body, and how long its JSON is."""
    tensors = [
        description(name, array) | {"parameters": {"binary_data_size": array.nbytes}} for name, array in inputs.items()
    ]
    head = {"parameters": {"binary_data_output": True}, "inputs": tensors}
    text = json.dumps(head, separators=(",", ":")).encode()
    return text + b"".join(array.tobytes() for array in inputs.values()), len(text)


def binary_answer(body: bytes, json_length: int) -> Tensors:
    found, at = {}, json_length
    for tensor in json.loads(body[:json_length])["outputs"]:
        size = tensor["parameters"]["binary_data_size"]
        array = numpy.frombuffer(body[at : at + size], DTYPES[tensor["datatype"]])
        found[tensor["name"]] = array.reshape(tensor["shape"])
        at += size
    return found


def grpc_request(model: str, inputs: Tensors) -> bytes:
    """A ModelInferRequest with raw contents."""
    message = field(1, model.encode())
    for name, array in inputs.items():
        shape = b"".join(varint(size) for size in array.shape)
        message += field(5, field(1, name.encode()) + field(2, datatype(array).encode()) + field(3, shape))
    return message + b"".join(field(7, array.tobytes()) for array in inputs.values())


def grpc_answer(message: bytes) -> Tensors:
    """The tensors of a ModelInferResponse with raw contents."""
    described, raw = [], []
    for number, value in fields(message):
        if number == 5:
            described.append(dict(fields(value)) | {3: shape_of(value)})
        elif number == 6:
            raw.append(value)
    return {
        tensor[1].decode(): numpy.frombuffer(content, DTYPES[tensor[2].decode()]).reshape(tensor[3])
        for tensor, content in zip(described, raw, strict=True)
    }


def shape_of(tensor: bytes) -> list[int]:
    """The shape of a tensor's message, packed or not."""
    sizes = []
    for number, value in fields(tensor):
        if number == 3 and isinstance(value, int):
            sizes.append(value)
        elif number == 3:
            at = 0
            while at < len(value):
                size, at = read_varint(value, at)
                sizes.append(size)
    return sizes


def field(number: int, content: bytes) -> bytes:
    """A protobuf field of bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def fields(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """The fields of a protobuf message that are numbers or bytes, which are all that there are here."""
    at = 0
    while at < len(message):
        key, at = read_varint(message, at)
        value, at = read_varint(message, at)
        match key & 7:
            case 0:
                yield key >> 3, value
            case 2:
                yield key >> 3, message[at : at + value]
                at += value
            case kind:
                raise ValueError(f"field {key >> 3} has the unexpected wire type {kind}")


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
