"""ModelStreamInfer: order, errors in their place, compression, and what is counted."""

import queue

import numpy as np
import pytest
import tritonclient.grpc as triton
from onnx import numpy_helper

import specimens
from open_inference.served import Server, add


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A model of microseconds, and one of milliseconds."""
    models = tmp_path_factory.mktemp("streams")
    add(models, "quick", specimens.identity(["n", "m"]))
    weights = np.eye(384, dtype=np.float32)
    steps = [specimens.helper.make_node("MatMul", [f"x{n}", "w"], [f"x{n + 1}"]) for n in range(20)]
    shape = [1, 384, 384]
    slow = specimens.model(
        steps,
        [specimens.tensor("x0", shape)],
        [specimens.tensor("x20", shape)],
        [numpy_helper.from_array(weights, "w")],
    )
    add(models, "slow", slow)
    with Server(models, "--watch=off") as server:
        yield server


def of(array, name="x"):
    tensor = triton.InferInput(name, list(array.shape), "FP32")
    tensor.set_data_from_numpy(array)
    return tensor


@pytest.fixture
def client(service):
    with triton.InferenceServerClient(service.address) as client:
        yield client


class Stream:
    """A stream whose answers wait in a queue."""

    def __init__(self, client, **options):
        self.answers = queue.Queue()
        self.client = client
        client.start_stream(lambda result, error: self.answers.put((result, error)), **options)

    def next(self):
        return self.answers.get(timeout=60)


def counts(client, model):
    stats = client.get_inference_statistics(model).model_stats[0].inference_stats
    return np.array([stats.success.count, stats.fail.count])


def test_requests_of_unlike_cost_are_answered_in_their_order(client):
    before = counts(client, "quick"), counts(client, "slow")
    stream = Stream(client)
    row = np.ones((1, 3), np.float32)
    large = np.ones((1, 384, 384), np.float32)
    for number in range(60):
        if number % 10 == 0:
            client.async_stream_infer("slow", [of(large * number, "x0")], request_id=str(number))
        elif number % 10 == 5:
            client.async_stream_infer("quick", [of(row, "nowhere")], request_id=str(number))
        else:
            client.async_stream_infer("quick", [of(row * number)], request_id=str(number))
    for number in range(60):
        result, error = stream.next()
        if number % 10 == 5:
            assert 'no input "nowhere"' in error.message()
            continue
        assert error is None, (number, error and error.message())
        assert result.get_response().id == str(number)
        name, sent = ("x20", large) if number % 10 == 0 else ("y", row)
        np.testing.assert_array_equal(result.as_numpy(name), sent * number)
    client.stop_stream()
    assert (counts(client, "quick") - before[0]).tolist() == [48, 6]
    assert (counts(client, "slow") - before[1]).tolist() == [6, 0]


def test_large_compressed_messages_of_a_stream(client):
    stream = Stream(client, compression_algorithm="gzip")
    sent = np.random.default_rng(0).random((300, 1000), np.float32)
    for number in range(4):
        client.async_stream_infer("quick", [of(sent + number)], request_id=str(number))
    client.async_stream_infer("quick", [of(sent, "nowhere")], request_id="wrong")
    for number in range(4):
        result, error = stream.next()
        assert error is None and result.get_response().id == str(number)
        np.testing.assert_array_equal(result.as_numpy("y"), sent + number)
    result, error = stream.next()
    assert 'no input "nowhere"' in error.message()
    client.stop_stream()


def test_large_compressed_messages(client):
    sent = np.random.default_rng(0).random((300, 1000), np.float32)
    for array in (sent, np.zeros((1500, 1000), np.float32)):
        result = client.infer("quick", [of(array)], compression_algorithm="gzip")
        np.testing.assert_array_equal(result.as_numpy("y"), array)
