"""KServe's own SDK against a service of the specimens: kserve_client.py HOST:PORT

A process of its own: the SDK and tritonclient each bring the protocol's messages, under the same names.
"""

import asyncio
import sys

import grpc
import httpx
import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

ROW = np.array([[1, 2, 3]], np.float32)
TEXT = np.array([["é🦀", ""], ["plain", '"quoted"']], object)


def tensor(name, datatype, array, binary=True):
    made = InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def sum_request(binary):
    return InferRequest(
        "sum",
        [tensor("a", "FP32", ROW, binary), tensor("b", "FP32", 2 * ROW, binary)],
        request_id="7",
        parameters={"mine": "kept"},
        request_outputs=[RequestedOutput("sum", {"binary_data": binary})],
    )


def check_sum(response):
    assert response.id == "7" and response.model_name == "sum", response
    (only,) = response.outputs
    assert only.name == "sum"
    np.testing.assert_array_equal(only.as_numpy(), 3 * ROW)


def text_request(binary):
    outputs = [RequestedOutput("y", {"binary_data": binary})]
    return InferRequest("identity-bytes", [tensor("x", "BYTES", TEXT, binary)], request_outputs=outputs)


def check_text(response):
    got = [e.decode() if isinstance(e, bytes) else e for e in response.outputs[0].as_numpy().flatten()]
    assert got == list(TEXT.flatten()), got


async def rest(address):
    base = f"http://{address}"
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        assert await client.is_server_live(base) is True
        assert await client.is_server_ready(base) is True
        assert await client.is_model_ready(base, "sum") is True
        assert await client.is_model_ready(base, "nothing") is False
        for binary in (False, True):
            # The client keeps no version from the answer.
            response = await client.infer(base, sum_request(binary), model_name="sum")
            check_sum(response)
            assert response.parameters["mine"] == "kept", response.parameters
            check_text(await client.infer(base, text_request(binary), model_name="identity-bytes"))
        half = InferRequest("identity-fp16", [tensor("x", "FP16", ROW.astype(np.float16))])
        half.parameters = {"binary_data_output": True}
        answer = await client.infer(base, half, model_name="identity-fp16")
        np.testing.assert_array_equal(answer.outputs[0].as_numpy(), ROW)
        try:
            await client.infer(base, sum_request(False), model_name="scalar")
        except httpx.HTTPStatusError as error:
            assert "400" in str(error) and 'has no input "a"' in str(error), error
        else:
            raise AssertionError("a wrong request was answered")


async def over_grpc(address):
    async with InferenceGRPCClient(address) as client:
        assert await client.is_server_live() is True
        assert await client.is_server_ready() is True
        assert await client.is_model_ready("sum") is True
        for binary in (False, True):
            response = await client.infer(sum_request(binary))
            check_sum(response)
            assert response.model_version == "v1.0.0", response
            check_text(await client.infer(text_request(binary)))
        for asked, version in ((None, "v1.10.0"), ("v1.9.0", "v1.9.0")):
            request = InferRequest("versions", [tensor("x", "FP32", ROW[0])], model_version=asked)
            assert (await client.infer(request)).model_version == version
        try:
            await client.infer(InferRequest("scalar", sum_request(True).inputs))
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
            assert 'has no input "a"' in error.details(), error
        else:
            raise AssertionError("a wrong request was answered")


if __name__ == "__main__":
    asyncio.run(rest(sys.argv[1]))
    asyncio.run(over_grpc(sys.argv[1]))
