"""Limits on tensors and on JSON, in every way that a request may come."""

import json
import urllib.error
import urllib.request

import numpy as np
import pytest
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

import specimens
from open_inference.served import Server, add


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    models = tmp_path_factory.mktemp("limits")
    add(models, "identity", specimens.identity(["n"]))
    with Server(models, "--watch=off", "--max-tensor-elements=6", "--max-json-depth=5") as server:
        yield server


def post(service, path, body, **headers):
    request = urllib.request.Request(f"{service.url}{path}", body, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, json.loads(refused.read())["error"]


def by_json(service, array):
    tensor = {"name": "x", "shape": [len(array)], "datatype": "FP32", "data": array.tolist()}
    return post(service, "/v2/models/identity/infer", json.dumps({"inputs": [tensor]}).encode())


def by_binary(service, array):
    size = {"binary_data_size": array.nbytes}
    tensor = {"name": "x", "shape": [len(array)], "datatype": "FP32", "parameters": size}
    head = json.dumps({"inputs": [tensor]}).encode()
    path, length = "/v2/models/identity/infer", str(len(head))
    return post(service, path, head + array.tobytes(), **{"Inference-Header-Content-Length": length})


def by_bytes_alone(service, array):
    return post(service, "/v2/models/identity/infer", array.tobytes(), **{"Inference-Header-Content-Length": "0"})


def by_rows(service, array):
    return post(service, "/predict/identity", json.dumps([[float(n)] for n in array]).encode())


def by_client(module):
    def ask(service, array):
        tensor = module.InferInput("x", [len(array)], "FP32")
        tensor.set_data_from_numpy(array)
        with module.InferenceServerClient(service.address) as client:
            try:
                return 200, client.infer("identity", [tensor])
            except InferenceServerException as refused:
                return refused.status(), refused.message()

    return ask


def by_typed_contents(service, array):
    import grpc

    request = service_pb2.ModelInferRequest(model_name="identity")
    entry = request.inputs.add(name="x", datatype="FP32", shape=[len(array)])
    entry.contents.fp32_contents.extend(array.tolist())
    with grpc.insecure_channel(service.address) as channel:
        try:
            return 200, service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
        except grpc.RpcError as refused:
            return str(refused.code()), refused.details()


WAYS = [
    by_json,
    by_binary,
    by_bytes_alone,
    by_rows,
    pytest.param(by_client(over_http), id="tritonclient.http"),
    pytest.param(by_client(over_grpc), id="tritonclient.grpc"),
    by_typed_contents,
]


@pytest.mark.parametrize("ask", WAYS)
def test_a_tensor_of_too_many_elements_is_refused(service, ask):
    status, answer = ask(service, np.arange(6, dtype=np.float32))
    assert status == 200, answer
    status, answer = ask(service, np.arange(7, dtype=np.float32))
    assert status in (413, "413", "StatusCode.RESOURCE_EXHAUSTED"), answer
    for part in ("[7", "6 elements", "max-tensor-elements"):
        assert part in answer, answer
    assert '"x"' in answer, answer


def test_json_that_nests_too_deep_is_refused(service):
    for data, status in (([1, 2], 200), ([[1], [2]], 200), ([[[1]], [[2]]], 400)):
        shape = list(np.shape(data))
        tensor = {"name": "x", "shape": shape, "datatype": "FP32", "data": data}
        got, answer = post(service, "/v2/models/identity/infer", json.dumps({"inputs": [tensor]}).encode())
        assert ("max-json-depth" in str(answer)) == (status == 400), answer
        # Two dimensions are one too many for this model, and not for the limit.
        assert got == (400 if len(shape) > 1 else 200), answer
    deep = b'{"inputs":[],"ignored":' + b"[" * 100_000
    status, answer = post(service, "/v2/models/identity/infer", deep)
    assert status == 400 and "max-json-depth" in answer, answer
