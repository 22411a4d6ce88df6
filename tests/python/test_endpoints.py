"""Every call of tritonclient, by HTTP and gRPC, blocking and asyncio."""

import asyncio

import numpy as np
import pytest
import tritonclient.grpc as over_grpc
import tritonclient.grpc.aio as over_grpc_aio
import tritonclient.http as over_http
import tritonclient.http.aio as over_http_aio
from tritonclient.utils import InferenceServerException

import specimens
from open_inference.served import Server, add


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    models = tmp_path_factory.mktemp("endpoints")
    for version in ("v1.9.0", "v1.10.0"):
        add(models, "identity", specimens.identity(["n"]), version=version)
    add(models, "other", specimens.identity(["n"]))
    with Server(models, "--allow-repository-control", "--watch=off") as server:
        yield server


class Awaited:
    """A client of asyncio, each call of which is waited for."""

    def __init__(self, loop, client):
        self.loop, self.client = loop, client

    def __getattr__(self, name):
        call = getattr(self.client, name)
        return lambda *arguments, **options: self.loop.run_until_complete(call(*arguments, **options))


@pytest.fixture(
    params=[over_http, over_grpc, over_http_aio, over_grpc_aio], ids=["http", "grpc", "http.aio", "grpc.aio"]
)
def client(request, service):
    made = request.param.InferenceServerClient
    if "aio" not in request.param.__name__:
        with made(service.address) as client:
            yield client
        return
    loop = asyncio.new_event_loop()

    async def begin():
        return made(service.address)

    client = loop.run_until_complete(begin())
    yield Awaited(loop, client)
    loop.run_until_complete(client.close())
    loop.close()


def plain(answer):
    """A message of protobuf as the JSON that HTTP gives."""
    if isinstance(answer, (dict, list)):
        return answer
    from google.protobuf.json_format import MessageToDict

    return MessageToDict(answer, preserving_proto_field_name=True)


def test_health_and_metadata(client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("identity") and client.is_model_ready("identity", "v1.9.0")
    assert plain(client.get_server_metadata())["name"] == "modelship"
    metadata = plain(client.get_model_metadata("identity", "v1.9.0"))
    assert metadata["versions"] == ["v1.9.0", "v1.10.0"] and metadata["inputs"][0]["datatype"] == "FP32"
    config = plain(client.get_model_config("identity"))
    config = config.get("config", config)
    assert config["name"] == "identity" and config["input"][0]["name"] == "x"
    config = plain(client.get_model_config("identity", "v1.9.0"))
    assert config.get("config", config)["output"][0]["name"] == "y"
    with pytest.raises(InferenceServerException, match=r"v0\.0\.1"):
        client.get_model_config("identity", "v0.0.1")


def test_inference_and_statistics(client, request):
    module = over_grpc if "grpc" in request.node.callspec.id else over_http
    tensor = module.InferInput("x", [2], "FP32")
    tensor.set_data_from_numpy(np.array([1, 2], np.float32))

    def counted():
        stats = plain(client.get_inference_statistics("identity", "v1.9.0"))["model_stats"]
        return int(stats[0]["inference_stats"]["success"].get("count", 0))

    before = counted()
    result = client.infer("identity", [tensor], "v1.9.0", request_id="7")
    assert result.as_numpy("y").tolist() == [1, 2]
    assert counted() == before + 1
    stats = plain(client.get_inference_statistics("identity", "v1.9.0"))["model_stats"][0]
    assert {"name", "version", "last_inference", "inference_count", "execution_count"} <= set(stats)
    steps = {"success", "queue", "compute_input", "compute_infer", "compute_output"}
    if module is over_http:
        # protobuf leaves out what is 0.
        steps |= {"fail", "cache_hit", "cache_miss"}
        assert set(stats["inference_stats"]["cache_hit"]) == {"count", "ns"} and "batch_stats" in stats
    assert steps <= set(stats["inference_stats"]), stats
    assert {s["name"] for s in plain(client.get_inference_statistics())["model_stats"]} == {"identity", "other"}


def test_the_repository(client):
    def states():
        index = plain(client.get_model_repository_index())
        return {(m["name"], m["version"]): m["state"] for m in (index if isinstance(index, list) else index["models"])}

    assert states()["identity", "v1.10.0"] == "READY"
    client.unload_model("other")
    assert states()["other", "v1.0.0"] == "UNAVAILABLE" and not_ready(client, "other")
    client.load_model("other")
    assert states()["other", "v1.0.0"] == "READY" and client.is_model_ready("other")
    client.unload_model("other", unload_dependents=True)
    assert not_ready(client, "other")
    client.load_model("other")


def test_a_load_takes_no_configuration_and_no_files(client):
    for options, named in (
        ({"config": "{}"}, "config"),
        ({"config": "{}", "files": {"file:1/model.onnx": b"\x08\x07"}}, "config"),
        ({"files": {"file:1/model.onnx": b"\x08\x07"}}, "file:1/model.onnx"),
    ):
        with pytest.raises(InferenceServerException, match=f'the parameter "{named}"') as caught:
            client.load_model("identity", **options)
        assert caught.value.status() in ("400", "StatusCode.INVALID_ARGUMENT")
    assert client.is_model_ready("identity", "v1.9.0")


def not_ready(client, model):
    try:
        return not client.is_model_ready(model)
    except InferenceServerException:
        # gRPC says why.
        return True


def test_settings_are_shown_and_not_changed(client):
    assert plain(client.get_log_settings()) and plain(client.get_trace_settings())
    for change in (
        lambda: client.update_log_settings({"log_info": False}),
        lambda: client.update_trace_settings(settings={"trace_level": ["MAX"]}),
    ):
        with pytest.raises(InferenceServerException) as caught:
            change()
        assert caught.value.message()


def test_shared_memory_is_not_offered(client):
    for call in (
        client.get_system_shared_memory_status,
        client.get_cuda_shared_memory_status,
        client.unregister_system_shared_memory,
        client.unregister_cuda_shared_memory,
        lambda: client.register_system_shared_memory("region", "/region", 4),
        lambda: client.register_cuda_shared_memory("region", b"aGFuZGxl", 0, 4),
        lambda: client.get_system_shared_memory_status("region"),
        lambda: client.get_cuda_shared_memory_status("region"),
        lambda: client.unregister_system_shared_memory("region"),
        lambda: client.unregister_cuda_shared_memory("region"),
    ):
        with pytest.raises(InferenceServerException, match="shared memory is not offered here: send ") as caught:
            call()
        assert caught.value.status() in ("501", "StatusCode.UNIMPLEMENTED"), call
