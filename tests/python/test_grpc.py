"""The Open Inference Protocol over gRPC, as tritonclient and plain stubs ask for it."""

import asyncio
import queue

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException


@pytest.fixture(scope="module")
def client(service):
    with triton.InferenceServerClient(service.address) as client:
        yield client


@pytest.fixture(scope="module")
def channel(service):
    with grpc.insecure_channel(service.address) as channel:
        yield channel


@pytest.fixture(scope="module")
def stub(channel):
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


def of(array, name="x", datatype="FP32"):
    tensor = triton.InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return tensor


ROW = np.array([[1, 2, 3]], np.float32)


def request(model="versions", **fields):
    made = service_pb2.ModelInferRequest(model_name=model, **fields)
    entry = made.inputs.add(name="x", datatype="FP32", shape=[1])
    entry.contents.fp32_contents.append(1)
    return made


def refused(call, *arguments, **options):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **options)
    return caught.value


def test_metadata(client):
    assert client.get_server_metadata().name == "modelship"
    assert "statistics" in client.get_server_metadata().extensions
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("sum", "v1.0.0")
    metadata = client.get_model_metadata("sum")
    assert metadata.platform == "onnx_onnxv1" and list(metadata.inputs[0].shape) == [-1, 3]
    config = client.get_model_config("identity-bytes").config
    assert config.output[0].data_type == 13 and config.backend == "onnxruntime"
    assert list(client.get_model_metadata("versions").versions) == ["v1.9.0", "v1.10.0"]


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_infer(client, compression):
    result = client.infer(
        "sum",
        [of(ROW, "a"), of(ROW, "b")],
        outputs=[triton.InferRequestedOutput("difference")],
        request_id="7",
        parameters={"mine": "kept"},
        priority=1,
        timeout=10_000_000,
        compression_algorithm=compression,
    )
    response = result.get_response()
    assert response.id == "7" and response.model_version == "v1.0.0"
    assert dict(response.parameters)["mine"].string_param == "kept" and len(response.parameters) == 1
    np.testing.assert_array_equal(result.as_numpy("difference"), ROW * 0)
    assert result.as_numpy("sum") is None


def test_a_message_that_expands_too_far_is_refused(client):
    zeros = np.zeros((2000, 1000), np.float32)
    for array in (zeros, np.concatenate([zeros] * 2)):
        tensors = [of(array, "x")]
        if array is zeros:
            result = client.infer("identity-fp32", tensors, compression_algorithm="gzip")
            np.testing.assert_array_equal(result.as_numpy("y"), array)
            continue
        with pytest.raises(triton.InferenceServerException) as caught:
            client.infer("identity-fp32", tensors, compression_algorithm="gzip")
        assert caught.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
        assert "max-compression-ratio" in caught.value.message()


def test_raw_is_answered_raw_and_typed_typed(stub):
    answer = stub.ModelInfer(request())
    assert list(answer.outputs[0].contents.fp32_contents) == [1] and not answer.raw_output_contents
    raw = request()
    raw.inputs[0].ClearField("contents")
    raw.raw_input_contents.append(np.float32(1).tobytes())
    answer = stub.ModelInfer(raw)
    assert answer.raw_output_contents[0] == np.float32(1).tobytes()
    assert not answer.outputs[0].HasField("contents")


def test_what_is_wrong_is_said(stub):
    both = request()
    both.raw_input_contents.append(b"1234")
    nothing = request()
    nothing.inputs[0].ClearField("contents")
    elsewhere = request()
    elsewhere.inputs[0].contents.int_contents.append(1)
    half = request("identity-fp16")
    half.inputs[0].datatype = "FP16"
    short = request()
    short.inputs[0].ClearField("contents")
    short.raw_input_contents.append(b"123")
    many = request()
    many.raw_input_contents.extend([b"1234", b"1234"])
    for wrong, part in (
        (both, "send either"),
        (nothing, "neither contents"),
        (elsewhere, "belong in fp32_contents"),
        (half, "raw_input_contents"),
        (short, "do not fill"),
        (many, "2 tensors for 1 inputs"),
    ):
        error = refused(stub.ModelInfer, wrong)
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT and part in error.details()
    narrow = request("identity-uint8")
    narrow.inputs[0].datatype = "UINT8"
    narrow.inputs[0].contents.ClearField("fp32_contents")
    narrow.inputs[0].contents.uint_contents.append(300)
    assert "the value 300 at index 0 does not fit UINT8" in refused(stub.ModelInfer, narrow).details()


def test_the_table_of_errors(stub):
    assert refused(stub.ModelInfer, request("nothing")).code() == grpc.StatusCode.NOT_FOUND
    assert refused(stub.ModelInfer, request(model_version="1")).code() == grpc.StatusCode.NOT_FOUND
    late = request()
    late.parameters["timeout"].int64_param = 1
    assert refused(stub.ModelInfer, late).code() == grpc.StatusCode.DEADLINE_EXCEEDED
    classes = request()
    classes.outputs.add(name="y").parameters["classification"].int64_param = 2
    assert refused(stub.ModelInfer, classes).code() == grpc.StatusCode.UNIMPLEMENTED
    for call in (
        lambda: stub.SystemSharedMemoryStatus(service_pb2.SystemSharedMemoryStatusRequest()),
        lambda: stub.SystemSharedMemoryRegister(service_pb2.SystemSharedMemoryRegisterRequest()),
        lambda: stub.SystemSharedMemoryUnregister(service_pb2.SystemSharedMemoryUnregisterRequest()),
        lambda: stub.CudaSharedMemoryStatus(service_pb2.CudaSharedMemoryStatusRequest()),
        lambda: stub.CudaSharedMemoryRegister(service_pb2.CudaSharedMemoryRegisterRequest()),
        lambda: stub.CudaSharedMemoryUnregister(service_pb2.CudaSharedMemoryUnregisterRequest()),
        lambda: stub.TraceSetting(service_pb2.TraceSettingRequest(settings={"trace_level": {"value": ["MAX"]}})),
        lambda: stub.LogSettings(service_pb2.LogSettingsRequest(settings={"log_info": {"bool_param": False}})),
    ):
        error = refused(call)
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED and error.details()


def test_settings(client):
    assert client.get_log_settings().settings["log_info"].bool_param
    assert list(client.get_trace_settings().settings["trace_level"].value) == ["OFF"]


def test_a_message_beyond_the_limit_is_refused(client):
    large = np.zeros((1 << 14, 1 << 10 | 1), np.float32)
    with pytest.raises(InferenceServerException, match="max-body-size") as caught:
        client.infer("identity-fp32", [of(large)])
    assert "RESOURCE_EXHAUSTED" in caught.value.status()


def test_streams_answer_in_order(service):
    with triton.InferenceServerClient(service.address) as client:
        answers = queue.Queue()
        client.start_stream(lambda result, error: answers.put((result, error)))
        for number in range(40):
            model = "nothing" if number == 7 else "versions"
            client.async_stream_infer(model, [of(np.array([number], np.float32))], request_id=str(number))
        for number in range(40):
            result, error = answers.get(timeout=30)
            if number == 7:
                assert "no model is called" in error.message()
                continue
            assert result.get_response().id == str(number)
            assert result.as_numpy("y").tolist() == [number]
            assert result.get_response().parameters["triton_final_response"].bool_param
        client.stop_stream()


def test_statistics_and_the_repository(client, stub):
    before = client.get_inference_statistics("sum").model_stats[0].inference_stats.success.count
    client.infer("sum", [of(ROW, "a"), of(ROW, "b")])
    stats = client.get_inference_statistics("sum", "v1.0.0").model_stats[0]
    assert stats.inference_stats.success.count == before + 1 and stats.last_inference
    assert len(client.get_inference_statistics().model_stats) > 20
    client.unload_model("any-rank")
    with pytest.raises(InferenceServerException, match="unloaded"):
        client.is_model_ready("any-rank")
    states = {m.name: m.state for m in client.get_model_repository_index().models}
    assert states["any-rank"] == "UNAVAILABLE"
    ready = stub.RepositoryIndex(service_pb2.RepositoryIndexRequest(ready=True)).models
    assert {m.state for m in ready} == {"READY"} and "any-rank" not in {m.name for m in ready}
    client.load_model("any-rank")
    assert client.is_model_ready("any-rank")


def test_the_repository_takes_what_it_can_do(stub):
    unload, load, index = (
        service_pb2.RepositoryModelUnloadRequest,
        service_pb2.RepositoryModelLoadRequest,
        service_pb2.RepositoryIndexRequest,
    )
    for call, message in (
        (stub.RepositoryModelUnload, unload(repository_name="theirs", model_name="any-rank")),
        (stub.RepositoryModelLoad, load(repository_name="theirs", model_name="any-rank")),
        (stub.RepositoryIndex, index(repository_name="theirs")),
    ):
        error = refused(call, message)
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED and "theirs" in error.details()
    message = unload(model_name="any-rank")
    message.parameters["unload_dependents"].string_param = "yes"
    error = refused(stub.RepositoryModelUnload, message)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT and "true or false" in error.details()
    message = unload(model_name="any-rank")
    message.parameters["other"].bool_param = True
    error = refused(stub.RepositoryModelUnload, message)
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT and '"other"' in error.details()


def test_health(channel):
    health = health_pb2_grpc.HealthStub(channel)
    serving = health_pb2.HealthCheckResponse.SERVING
    for name in ("", "inference.GRPCInferenceService"):
        assert health.Check(health_pb2.HealthCheckRequest(service=name)).status == serving
    assert refused(health.Check, health_pb2.HealthCheckRequest(service="x")).code() == grpc.StatusCode.NOT_FOUND
    watch = health.Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == serving
    watch.cancel()
    unknown = next(health.Watch(health_pb2.HealthCheckRequest(service="x")))
    assert unknown.status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


def test_reflection_tells_what_clients_know(channel):
    """The description that grpcurl reads is wire-compatible with tritonclient's own."""
    database = ProtoReflectionDescriptorDatabase(channel)
    names = set(database.get_services())
    assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= names
    ours = database.FindFileContainingSymbol("inference.GRPCInferenceService")
    theirs = service_pb2.DESCRIPTOR
    methods = {m.name: (m.client_streaming, m.server_streaming) for m in ours.service[0].method}
    known = theirs.services_by_name["GRPCInferenceService"].methods
    assert methods == {m.name: (m.client_streaming, m.server_streaming) for m in known}
    for message in ours.message_type:
        known = theirs.message_types_by_name.get(message.name)
        if known:
            fields = {f.number: (f.name, f.type) for f in message.field}
            assert fields == {f.number: (f.name, f.type) for f in known.fields}, message.name


def test_asyncio(service):
    async def run():
        async with triton_aio.InferenceServerClient(service.address) as client:
            assert await client.is_server_ready()
            one = [client.infer("sum", [of(ROW, "a"), of(ROW, "b")]) for _ in range(20)]
            results = await asyncio.gather(*one)

            async def requests():
                for number in range(5):
                    yield {
                        "model_name": "versions",
                        "inputs": [of(np.array([number], np.float32))],
                        "request_id": str(number),
                    }

            ids = [result.get_response().id async for result, error in client.stream_infer(requests()) if not error]
            return results, ids

    results, ids = asyncio.run(run())
    assert ids == [str(number) for number in range(5)]
    for result in results:
        np.testing.assert_array_equal(result.as_numpy("sum"), ROW * 2)
