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


EDGES = {
    "BOOL": [[True, False]],
    **{f"{sign}INT{bits}": None for sign in ("U", "") for bits in (8, 16, 32, 64)},
    "FP16": [[65504, -0.1]],
    "FP32": [[3.4028235e38, -0.1]],
    "FP64": [[1.7976931348623157e308, -0.1]],
    "BYTES": TEXT,
}
NUMPY = {"BOOL": np.bool_, "FP16": np.float16, "FP32": np.float32, "FP64": np.float64, "BYTES": object}


def requests_of_every_datatype(binary, half):
    """A request for each datatype, and what must come back; FP16 in `half`'s way."""
    for datatype, edges in EDGES.items():
        dtype = NUMPY.get(datatype) or np.dtype(datatype.lower())
        if edges is None:
            limits = np.iinfo(dtype)
            edges = [[limits.min, limits.max], [0, limits.max - 1]]
        array = np.array(edges, dtype)
        is_binary = half if datatype == "FP16" else binary
        outputs = [RequestedOutput("y", {"binary_data": is_binary})]
        model = f"identity-{datatype.lower()}"
        yield InferRequest(model, [tensor("x", datatype, array, is_binary)], request_outputs=outputs), array


def check_same(response, array):
    (output,) = response.outputs
    got = output.as_numpy()
    if array.dtype == object:
        got = np.array([e.decode() if isinstance(e, bytes) else e for e in got.flatten()], object).reshape(got.shape)
    assert got.dtype == array.dtype and got.shape == array.shape, output
    np.testing.assert_array_equal(got, array)


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
            # The client itself refuses to send FP16 as JSON.
            for request, array in requests_of_every_datatype(binary, half=True):
                check_same(await client.infer(base, request, model_name=request.model_name), array)
        headers = {}
        await client.infer(base, sum_request(True), model_name="sum", response_headers=headers, timeout=60)
        assert headers["content-type"] == "application/octet-stream", headers
        # A graph's address is used as it stands, and what it answers is given back as it is.
        graph = await client.infer(f"{base}/v2/models/sum/infer", sum_request(False), is_graph_endpoint=True)
        assert graph["outputs"][0]["data"] == [3, 6, 9], graph
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
            # The protocol has no typed contents for FP16.
            for request, array in requests_of_every_datatype(binary, half=True):
                check_same(await client.infer(request), array)
        for asked, version in ((None, "v1.10.0"), ("v1.9.0", "v1.9.0")):
            request = InferRequest("versions", [tensor("x", "FP32", ROW[0])], model_version=asked)
            assert (await client.infer(request)).model_version == version
        try:
            await client.is_model_ready("nothing")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND, error
        else:
            raise AssertionError("a model that is not served was ready")
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
