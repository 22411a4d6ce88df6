"""The Open Inference Protocol over HTTP, as tritonclient and as plain requests ask for it."""

import asyncio
import gzip
import http.client
import json
import zlib

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException


@pytest.fixture
def client(service):
    with triton.InferenceServerClient(service.address) as client:
        yield client


def ask(service, method, path, body=b"", headers=()):
    """A plain request: status, headers, body."""
    connection = http.client.HTTPConnection(service.address, timeout=30)
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
    connection.request(method, path, body, dict(headers))
    response = connection.getresponse()
    return response.status, response.headers, response.read()


def infer(service, model, body, headers=()):
    status, _, answer = ask(service, "POST", f"/v2/models/{model}/infer", body, headers)
    return status, json.loads(answer)


def tensor(data, name="x", shape=None, datatype="FP32"):
    return {"name": name, "shape": shape or [len(data)], "datatype": datatype, "data": data}


def of(array, name="x", binary=True, datatype="FP32"):
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


ROW = np.array([[1, 2, 3]], np.float32)


def test_metadata(client):
    server = client.get_server_metadata()
    assert server["name"] == "modelship"
    assert {"binary_tensor_data", "statistics", "model_repository"} <= set(server["extensions"])
    assert client.is_server_live() and client.is_server_ready()
    assert client.get_model_metadata("sum") == {
        "name": "sum",
        "versions": ["v1.0.0"],
        "platform": "onnx_onnxv1",
        "inputs": [{"name": n, "datatype": "FP32", "shape": [-1, 3]} for n in ("a", "b")],
        "outputs": [{"name": n, "datatype": "FP32", "shape": [-1, 3]} for n in ("sum", "difference")],
    }
    assert client.is_model_ready("sum") and client.is_model_ready("sum", "v1.0.0")
    assert not client.is_model_ready("nothing") and not client.is_model_ready("sum", "1")


def test_versions_are_semver(client):
    assert client.get_model_metadata("versions")["versions"] == ["v1.9.0", "v1.10.0"]
    x = of(np.zeros(1, np.float32))
    assert client.infer("versions", [x]).get_response()["model_version"] == "v1.10.0"
    assert client.infer("versions", [x], "v1.9.0").get_response()["model_version"] == "v1.9.0"
    with pytest.raises(InferenceServerException, match=r"no version v2\.0\.0; it has v1\.9\.0, v1\.10\.0"):
        client.infer("versions", [x], "v2.0.0")


def test_configuration(client):
    config = client.get_model_config("fixed")
    assert config["max_batch_size"] == 0
    assert config["input"][0]["dims"] == [2, 3] and config["input"][0]["data_type"] == "TYPE_FP32"
    assert client.get_model_config("identity-bytes", "v1.0.0")["output"][0]["data_type"] == "TYPE_STRING"


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("sent", [None, "gzip", "deflate"])
@pytest.mark.parametrize("back", [None, "gzip", "deflate"])
def test_compressed_bodies(client, binary, sent, back):
    result = client.infer(
        "sum",
        [of(ROW, "a", binary), of(ROW * 2, "b", binary)],
        outputs=[triton.InferRequestedOutput("sum", binary_data=binary)],
        request_compression_algorithm=sent,
        response_compression_algorithm=back,
    )
    np.testing.assert_array_equal(result.as_numpy("sum"), ROW * 3)
    assert result.as_numpy("difference") is None


@pytest.mark.parametrize("way", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
def test_large_compressed_bodies(client, way, binary):
    sent = np.random.default_rng(0).random((150, 1000), np.float32)
    result = client.infer(
        "identity-fp32",
        [of(sent, binary=binary)],
        outputs=[triton.InferRequestedOutput("y", binary_data=binary)],
        request_compression_algorithm=way,
        response_compression_algorithm=way,
    )
    np.testing.assert_array_equal(result.as_numpy("y"), sent)


def test_a_body_that_expands_beyond_the_limit_is_refused(service):
    bomb = gzip.compress(bytes(65 << 20), 1)
    status, _, answer = ask(service, "POST", "/v2/models/identity-fp32/infer", bomb, {"Content-Encoding": "gzip"})
    assert status == 413 and json.loads(answer)["error"]


def test_the_answer_is_compressed_where_one_way_is_asked_for(service):
    body = {"inputs": [tensor([1] * 6, shape=[2, 3])]}
    for encoding, undo in (("gzip", gzip.decompress), ("deflate", zlib.decompress)):
        _, headers, answer = ask(service, "POST", "/v2/models/fixed/infer", body, {"Accept-Encoding": encoding})
        assert headers["Content-Encoding"] == encoding
        assert json.loads(undo(answer))["outputs"][0]["data"] == [1] * 6
    _, headers, _ = ask(service, "POST", "/v2/models/fixed/infer", body, {"Accept-Encoding": "gzip, br"})
    assert headers["Content-Encoding"] is None


def test_id_and_parameters_come_back(client, service):
    x = of(np.zeros(1, np.float32))
    mine = {"mine": "kept", "number": 7}
    answer = client.infer("versions", [x], request_id="a b", parameters=mine, priority=1, timeout=10_000_000)
    assert answer.get_response()["id"] == "a b"
    assert answer.get_response()["parameters"] == mine
    _, answer = infer(service, "versions", {"inputs": [tensor([1.0])]})
    assert "id" not in answer and "parameters" not in answer
    wanted = [{"name": "y", "parameters": {"mine": True}}]
    _, answer = infer(service, "versions", {"inputs": [tensor([1.0])], "outputs": wanted})
    assert answer["outputs"][0]["parameters"] == {"mine": True}


def test_a_raw_body_is_the_only_input(service):
    status, headers, answer = ask(
        service,
        "POST",
        "/v2/models/fixed/infer",
        np.ones(6, np.float32).tobytes(),
        {"Inference-Header-Content-Length": "0"},
    )
    length = int(headers["Inference-Header-Content-Length"])
    assert status == 200 and json.loads(answer[:length])["outputs"][0]["shape"] == [2, 3]
    assert answer[length:] == np.ones(6, np.float32).tobytes()
    _, headers, answer = ask(
        service, "POST", "/v2/models/identity-bytes/infer", b"text", {"Inference-Header-Content-Length": "0"}
    )
    assert answer.endswith(b"\4\0\0\0text")
    headers = {"Inference-Header-Content-Length": "0"}
    assert infer(service, "sum", b"1234", headers)[0] == 400
    # Where an input may be left out, the other is the only one that must come.
    for name, y in (("defaults", 8), ("maybe-tensor", 4), ("maybe-beside", 7)):
        status, _, answer = ask(service, "POST", f"/v2/models/{name}/infer", np.float32([4]).tobytes(), headers)
        assert status == 200 and np.float32([y]).tobytes() in answer, name


def test_what_may_be_left_out_is_said(client, service):
    for name, optional in (("defaults", {"factor"}), ("maybe-tensor", {"x"}), ("maybe-beside", {"x"}), ("sum", set())):
        inputs = client.get_model_config(name)["input"]
        assert {i["name"] for i in inputs if i["optional"]} == optional
    status, _, answer = ask(service, "POST", "/predict/maybe-tensor", [[4]])
    assert status == 200 and json.loads(answer)["predictions"] == [4]
    status, answer = infer(service, "maybe-beside", {"inputs": []})
    assert status == 400 and '"a" is missing' in answer["error"]


@pytest.mark.parametrize(
    ("body", "part"),
    [
        (b"", "must be an object"),
        (b"\xff", "not UTF-8"),
        ({}, 'no "inputs"'),
        ({"inputs": [tensor([1, 2, 3], shape=[2, 3])]}, "fill"),
        ({"inputs": [tensor([1, 300], datatype="UINT8")]}, 'tensor "x": the value 300 at index 1 does not fit UINT8'),
        ({"inputs": [tensor([[1, 2], [3]], shape=[2, 2])]}, "not nested as the shape [2,2] says"),
        ({"inputs": [tensor([1e39] * 6, shape=[2, 3])]}, "1e+39 at index 0"),
        ({"inputs": [{"name": "x", "shape": [2, 3], "datatype": "FP32"}]}, 'no "data"'),
        ({"inputs": [tensor([0] * 6, shape=[2, 3])], "outputs": [{"name": "z"}]}, 'no output "z"; it gives "y"'),
        ({"inputs": [tensor([0] * 6, shape=[2, 3])], "parameters": {"timeout": "x"}}, "timeout"),
        ({"inputs": [tensor([0] * 6, shape=[2, 3])], "parameters": {"priority": -1}}, "priority"),
    ],
)
def test_what_is_wrong_is_said(service, body, part):
    status, answer = infer(service, "fixed", body)
    assert status == 400 and part in answer["error"]


@pytest.mark.parametrize(
    ("length", "size", "rest", "part"),
    [
        ("x", 24, b"\0" * 24, "not the length in bytes"),
        (None, 24, b"\0" * 23, "ends 1 bytes before the end of the tensor"),
        (None, 24, b"\0" * 25, "goes on after the last binary tensor"),
        (None, 20, b"\0" * 20, "takes 24"),
        ("100000", 24, b"\0" * 24, "before the end of its JSON"),
        ("-", 24, b"", "header Inference-Header-Content-Length"),
    ],
)
def test_binary_sizes_must_add_up(service, length, size, rest, part):
    entry = {"name": "x", "shape": [2, 3], "datatype": "FP32", "parameters": {"binary_data_size": size}}
    head = json.dumps({"inputs": [entry]}).encode()
    headers = {} if length == "-" else {"Inference-Header-Content-Length": length or str(len(head))}
    status, answer = infer(service, "fixed", head + rest, headers)
    assert status == 400 and part in answer["error"]


def test_not_offered(service, client):
    wanted = [triton.InferRequestedOutput("y", class_count=2)]
    with pytest.raises(InferenceServerException, match="classification"):
        client.infer("versions", [of(np.zeros(1, np.float32))], outputs=wanted)
    for path in ("/v2/logging", "/v2/trace/setting"):
        assert ask(service, "POST", path, {})[0] == 405
    assert client.get_log_settings()["log_info"] is True
    assert client.get_trace_settings()["trace_level"] == ["OFF"]


def test_large_integers_survive(service):
    numbers = [2**63 - 1, -(2**63), 2**53 + 1, 0]
    _, answer = infer(service, "identity-int64", {"inputs": [tensor(numbers, shape=[2, 2], datatype="INT64")]})
    assert answer["outputs"][0]["data"] == numbers


def test_statistics_agree_with_metrics_and_the_number_sent(service, client):
    def counts():
        stats = client.get_inference_statistics("sum")["model_stats"][0]
        metrics = ask(service, "GET", "/metrics")[2].decode()
        shown = {}
        for line in metrics.splitlines():
            if line.startswith("modelship_requests_total") and 'model="sum"' in line:
                success = 'outcome="success"' in line
                shown[success] = shown.get(success, 0) + int(float(line.rsplit(" ", 1)[1]))
        inference = stats["inference_stats"]
        return (inference["success"]["count"], inference["fail"]["count"], stats["inference_count"]), shown

    before, shown_before = counts()
    for rows in (1, 2, 3):
        array = np.ones((rows, 3), np.float32)
        client.infer("sum", [of(array, "a"), of(array, "b")])
    with pytest.raises(InferenceServerException):
        client.infer("sum", [of(ROW, "a")])
    assert infer(service, "sum", b"{")[0] == 400
    after, shown_after = counts()
    assert [a - b for a, b in zip(after, before)] == [3, 2, 6]
    assert shown_after[True] - shown_before.get(True, 0) == 3
    assert shown_after[False] - shown_before.get(False, 0) == 2
    names = {s["name"] for s in client.get_inference_statistics()["model_stats"]}
    assert {"sum", "scalar"} <= names
    assert client.get_inference_statistics("versions", "v1.9.0")["model_stats"][0]["version"] == "v1.9.0"
    assert len(client.get_inference_statistics("versions")["model_stats"]) == 2


def test_the_repository(service, client):
    entry = {"name": "fixed", "version": "v1.0.0", "state": "READY", "reason": ""}
    assert entry in client.get_model_repository_index()
    client.unload_model("scalar")
    states = {e["name"]: e for e in client.get_model_repository_index()}
    assert states["scalar"]["state"] == "UNAVAILABLE" and states["scalar"]["reason"]
    assert not client.is_model_ready("scalar")
    _, _, ready = ask(service, "POST", "/v2/repository/index", {"ready": True})
    assert {e["state"] for e in json.loads(ready)} == {"READY"}
    client.load_model("scalar")
    assert client.is_model_ready("scalar")
    with pytest.raises(InferenceServerException, match="no model is called"):
        client.load_model("nothing")
    with pytest.raises(InferenceServerException, match="no model is called"):
        client.unload_model("nothing")


def test_asyncio(service):
    async def run():
        async with triton_aio.InferenceServerClient(service.address) as client:
            assert await client.is_server_ready()
            assert (await client.get_model_metadata("sum"))["name"] == "sum"
            one = [client.infer("sum", [of(ROW, "a"), of(ROW, "b")]) for _ in range(20)]
            return await asyncio.gather(*one)

    for result in asyncio.run(run()):
        np.testing.assert_array_equal(result.as_numpy("sum"), ROW * 2)
