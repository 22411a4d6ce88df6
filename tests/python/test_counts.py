"""Statistics and metrics agree with each other and with what was sent, whichever way it came."""

import http.client
import json
import queue
import re

import numpy as np
import pytest
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http
from tritonclient.utils import InferenceServerException

import specimens
from open_inference.served import Server, add


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    models = tmp_path_factory.mktemp("counts")
    add(models, "identity", specimens.identity(["n", 2]))
    with Server(models, "--watch=off") as server:
        yield server


def of(module, width, rows=1, **options):
    tensor = module.InferInput("x", [rows, width], "FP32")
    tensor.set_data_from_numpy(np.ones((rows, width), np.float32), **options)
    return tensor


def shown(service):
    """Successes and failures by /metrics."""
    connection = http.client.HTTPConnection(service.address, timeout=30)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    counts = {True: 0, False: 0}
    for labels, value in re.findall(r"^modelship_requests_total\{(.*)\} (\S+)$", text, re.MULTILINE):
        if 'model="identity"' in labels:
            counts['outcome="success"' in labels] += int(float(value))
    return counts[True], counts[False]


def test_every_way_is_counted_once(service):
    web = over_http.InferenceServerClient(service.address)
    rpc = over_grpc.InferenceServerClient(service.address)
    sent = failed = rows = 0
    for binary in (True, False):
        for n in (1, 3):
            web.infer("identity", [of(over_http, 2, n, binary_data=binary)])
            sent, rows = sent + 1, rows + n
        with pytest.raises(InferenceServerException):
            web.infer("identity", [of(over_http, 3, binary_data=binary)])
        failed += 1
    for n in (1, 2):
        rpc.infer("identity", [of(over_grpc, 2, n)])
        sent, rows = sent + 1, rows + n
    with pytest.raises(InferenceServerException):
        rpc.infer("identity", [of(over_grpc, 3)])
    failed += 1
    connection = http.client.HTTPConnection(service.address, timeout=30)
    for body, status in ((b'{"rows":[[1,2],[3,4]]}', 200), (b'{"rows":[[1]]}', 400)):
        connection.request("POST", "/predict/identity", body)
        answer = connection.getresponse()
        assert answer.status == status, answer.read()
        answer.read()
    sent, rows, failed = sent + 1, rows + 2, failed + 1

    answers = queue.Queue()
    rpc.start_stream(lambda result, error: answers.put(error))
    for number in range(12):
        rpc.async_stream_infer("identity", [of(over_grpc, 3 if number % 4 == 1 else 2)])
    errors = [answers.get(timeout=60) for _ in range(12)]
    rpc.stop_stream()
    assert [e is not None for e in errors] == [number % 4 == 1 for number in range(12)]
    sent, rows, failed = sent + 9, rows + 9, failed + 3

    stats = web.get_inference_statistics("identity")["model_stats"][0]
    same = rpc.get_inference_statistics("identity").model_stats[0]
    assert stats["inference_stats"]["success"]["count"] == same.inference_stats.success.count == sent
    assert stats["inference_stats"]["fail"]["count"] == same.inference_stats.fail.count == failed
    assert stats["inference_count"] == same.inference_count == rows, json.dumps(stats)
    assert shown(service) == (sent, failed)


def test_a_request_without_rows_is_one(tmp_path):
    """A first dimension that the model fixes counts nothing: not in a queue, not in statistics."""
    add(tmp_path, "fixed", specimens.identity([384, 2]), settings='[scheduling]\nplacement = "threads"\n')
    with Server(tmp_path, "--watch=off", "--max-queue-size=256") as server:
        rpc = over_grpc.InferenceServerClient(server.address)
        answers = queue.Queue()
        rpc.start_stream(lambda result, error: answers.put(error))
        for _ in range(60):
            rpc.async_stream_infer("fixed", [of(over_grpc, 2, 384)])
        assert [answers.get(timeout=60) for _ in range(60)] == [None] * 60
        rpc.stop_stream()
        assert rpc.get_inference_statistics("fixed").model_stats[0].inference_count == 60
