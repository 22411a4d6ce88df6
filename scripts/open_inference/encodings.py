"""The ways to send an inference request: each takes tensors and gives tensors.

Nothing here knows modelship: any server of the protocol can be asked.
"""

import http.client
import json

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from .tensors import Tensor, from_json, from_raw, text, to_json, to_raw


class RefusedError(Exception):
    """The server did not answer the request."""


class Rest:
    """JSON over HTTP, with the tensors in it or after it."""

    def __init__(self, address: str, binary: bool):
        self.address = address
        self.connection = http.client.HTTPConnection(address, timeout=60)
        self.binary = binary

    def _ask(self, method: str, path: str, body: bytes = b"", headers: dict | None = None):
        try:
            self.connection.request(method, path, body, headers or {})
            response = self.connection.getresponse()
            return response, response.read()
        except (OSError, http.client.HTTPException) as error:
            # The next request gets a new connection.
            self.connection.close()
            raise RefusedError(f"the connection broke: {error}") from error

    def is_silent(self) -> str:
        """Why nothing answers here; empty where something does."""
        try:
            self._ask("GET", "/v2/health/live")
        except RefusedError as error:
            return str(error)
        return ""

    def infer(self, model: str, inputs: list[Tensor], version: str = "") -> list[Tensor]:
        described, parts = [], []
        for tensor in inputs:
            entry = {"name": tensor.name, "shape": tensor.array.shape, "datatype": tensor.datatype}
            parameters = dict(tensor.parameters)
            if self.binary:
                parts.append(to_raw(tensor.array))
                parameters["binary_data_size"] = len(parts[-1])
            else:
                entry["data"] = to_json(tensor.array)
            if parameters:
                entry["parameters"] = parameters
            described.append(entry)
        request = {"inputs": described}
        if self.binary:
            request["parameters"] = {"binary_data_output": True}
        head = json.dumps(request, allow_nan=False).encode()
        headers = {"Content-Type": "application/json"}
        if self.binary:
            headers["Inference-Header-Content-Length"] = str(len(head))
            headers["Content-Type"] = "application/octet-stream"
        version = f"/versions/{version}" if version else ""
        path = f"/v2/models/{model}{version}/infer"
        response, body = self._ask("POST", path, head + b"".join(parts), headers)
        if response.status != 200:
            raise RefusedError(f"{response.status}: {_sentence(body)}")
        length = int(response.getheader("Inference-Header-Content-Length") or len(body))
        answer, rest = json.loads(body[:length]), body[length:]
        outputs = []
        for entry in answer["outputs"]:
            parameters = entry.get("parameters", {})
            if "data" in entry:
                array = from_json(entry["datatype"], entry["shape"], entry["data"])
            else:
                size = parameters["binary_data_size"]
                array = from_raw(entry["datatype"], entry["shape"], rest[:size])
                rest = rest[size:]
            outputs.append(Tensor(entry["name"], array, parameters))
        return outputs

    def is_ready(self, model: str) -> bool:
        response, _ = self._ask("GET", f"/v2/models/{model}/ready")
        return response.status == 200


def _sentence(body: bytes) -> str:
    """What an error's body says."""
    try:
        return json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")


# The list of typed contents for each datatype that has one.
CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class Grpc:
    """gRPC, with the tensors raw or by type."""

    def __init__(self, address: str, typed: bool):
        self.address = address
        limit = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(address, limit))
        self.typed = typed

    def is_silent(self) -> str:
        """Why nothing answers here; empty where something does."""
        try:
            self.stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=30)
        except grpc.RpcError as error:
            return " ".join(error.details().split())
        return ""

    def infer(self, model: str, inputs: list[Tensor], version: str = "") -> list[Tensor]:
        request = service_pb2.ModelInferRequest(model_name=model, model_version=version)
        # What has no list goes raw, and then all of it does.
        typed = self.typed and all(tensor.datatype in CONTENTS for tensor in inputs)
        for tensor in inputs:
            entry = request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.array.shape)
            for name, value in tensor.parameters.items():
                entry.parameters[name].string_param = value
            if not typed:
                request.raw_input_contents.append(to_raw(tensor.array))
                continue
            elements = tensor.array.reshape(-1).tolist()
            if tensor.datatype == "BYTES":
                elements = [text(element).encode() for element in elements]
            entry.contents.SetInParent()
            getattr(entry.contents, CONTENTS[tensor.datatype]).extend(elements)
        try:
            response = self.stub.ModelInfer(request, timeout=60)
        except grpc.RpcError as error:
            raise RefusedError(f"{error.code()}: {error.details()}") from error
        outputs = []
        for index, entry in enumerate(response.outputs):
            parameters = {n: p.string_param for n, p in entry.parameters.items()}
            shape = list(entry.shape)
            if response.raw_output_contents:
                array = from_raw(entry.datatype, shape, response.raw_output_contents[index])
            else:
                elements = list(getattr(entry.contents, CONTENTS[entry.datatype]))
                if entry.datatype == "BYTES":
                    elements = [element.decode() for element in elements]
                array = from_json(entry.datatype, shape, elements)
            outputs.append(Tensor(entry.name, array, parameters))
        return outputs


def encodings(address: str, grpc_address: str = "") -> dict:
    """Every way to send a request to the server at `address`, which speaks gRPC there too, or at
    `grpc_address`, or not at all where that is "none"."""
    ways = {"REST JSON": Rest(address, binary=False), "REST binary": Rest(address, binary=True)}
    if grpc_address != "none":
        ways["gRPC raw"] = Grpc(grpc_address or address, typed=False)
        ways["gRPC typed"] = Grpc(grpc_address or address, typed=True)
    return ways
