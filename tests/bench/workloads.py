"""What is asked of the servers, in each form that they take it, and what they must answer."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy

import tensors
from tensors import Tensors

# How far an answer may be from what onnxruntime in Python gives, as in modelship's golden cases.
ABSOLUTE, RELATIVE = 1e-5, 1e-3


@dataclass(frozen=True)
class Request:
    """One request, over HTTP/1.1 or as a call of gRPC."""

    path: str
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    protocol: str = "http1"


@dataclass(frozen=True)
class Workload:
    """A model, one row for it, and the forms in which servers are asked."""

    name: str
    what: str
    forms: tuple[str, ...]
    #: Counted seconds of one measurement, in multiples of the usual.
    patience: float = 1.0
    case: str = "one"

    def folder(self, models: Path) -> Path:
        """The model's folder, in a repository of its own."""
        return models / self.name / self.name

    def tensors(self, models: Path) -> tuple[Tensors, Tensors]:
        """Inputs, and the outputs that onnxruntime gives."""
        case = json.loads((self.folder(models) / "cases" / f"{self.case}.json").read_text())
        return tensors.arrays(case["inputs"]), tensors.arrays(case["outputs"])


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("linear", "one number", ("get", "json", "binary", "grpc"), case="whole"),
        Workload("trees", "100 boosted trees, 30 features", ("rows", "json", "binary", "grpc")),
        Workload("resnet50", "ResNet-50, one image", ("binary", "json", "grpc"), patience=3),
        Workload("encoder", "transformer, 6 layers x 384, 32 tokens", ("rows", "json", "binary", "grpc"), patience=2),
    )
}

FORMS = {
    "get": "GET /predict/21",
    "rows": "POST /predict",
    "json": "/v2 JSON",
    "binary": "/v2 binary",
    "grpc": "gRPC",
}

JSON = {"content-type": "application/json"}
OCTETS = {"content-type": "application/octet-stream"}


def request(form: str, model: str, inputs: Tensors, is_peer: bool) -> Request:
    """How a server is asked for `model` at `inputs` in `form`."""
    (first, *_) = inputs.values()
    match form:
        case "get":
            return Request(f"/predict/{int(first.item())}", "GET")
        case "rows":
            rows = {"rows": first.tolist()}
            return Request("/predict", headers=JSON, body=json.dumps(rows, separators=(",", ":")).encode())
        case "json":
            return Request(f"/v2/models/{model}/infer", headers=JSON, body=tensors.json_request(inputs))
        case "binary" if is_peer:
            # The peer has no protocol: bytes in, bytes out.
            return Request("/infer", headers=OCTETS, body=first.tobytes())
        case "binary":
            body, json_length = tensors.binary_request(inputs)
            headers = OCTETS | {tensors.JSON_LENGTH: str(json_length)}
            return Request(f"/v2/models/{model}/infer", headers=headers, body=body)
        case "grpc":
            path = "/inference.GRPCInferenceService/ModelInfer"
            return Request(path, body=tensors.grpc_request(model, inputs), protocol="grpc")
    raise ValueError(form)


def outputs(form: str, body: bytes, headers: dict[str, str], expected: Tensors, is_peer: bool) -> Tensors:
    """The tensors that a server's answer holds; those it does not name are as `expected`."""
    names = list(expected)
    match form:
        case "get":
            found = {names[0]: json.loads(body)["prediction"]}
        case "rows":
            answer = json.loads(body)
            found = {names[0]: answer["predictions"]} | answer.get("outputs", {})
        case "json":
            return tensors.arrays(json.loads(body)["outputs"])
        case "binary" if is_peer:
            found = {names[0]: numpy.frombuffer(body, expected[names[0]].dtype)}
        case "binary":
            return tensors.binary_answer(body, int(headers[tensors.JSON_LENGTH]))
        case "grpc":
            return tensors.grpc_answer(body)
        case _:
            raise ValueError(form)
    return {name: numpy.array(value).reshape(expected[name].shape) for name, value in found.items()}


def difference(found: Tensors, expected: Tensors) -> str | None:
    """What is wrong with `found`, if anything is."""
    if found.keys() != expected.keys():
        return f"it has the outputs {', '.join(found)}, not {', '.join(expected)}"
    for name, value in expected.items():
        if found[name].shape != value.shape:
            return f"{name} has the shape {found[name].shape}, not {value.shape}"
        if not numpy.allclose(found[name], value, RELATIVE, ABSOLUTE):
            return f"{name} is {found[name].ravel()[:4]}…, not {value.ravel()[:4]}…"
    return None


def comparison(form: str, expected: Tensors, is_peer: bool) -> str | dict:
    """How the load compares an answer with the first one: a batch may round in another way."""
    if form in ("binary", "grpc"):
        *_, last = expected.values()
        return {"floats": last.nbytes} if last.dtype == numpy.float32 else "exact"
    return "text"
