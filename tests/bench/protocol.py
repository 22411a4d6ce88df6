#!/usr/bin/env python3
"""What the Open Inference Protocol costs: the server's CPU for one 1x3x224x224 FP32 tensor through
an identity model, beside that of a bare axum route and a bare tonic call that give the same bytes
back.

usage: cargo build --release --bins --example echo && tests/bench/protocol.py [--rounds N]

The servers are asked in turn, round by round, over one connection each; a figure is the median of
the rounds, and a ratio the median of the ratios within a round. CPU is the server's user and
system time from /proc. Loopback only.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc
import numpy as np
from onnx import TensorProto, helper

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from tritonclient.grpc import service_pb2  # noqa: E402

from open_inference.served import Server, add  # noqa: E402
from open_inference.tensors import to_json  # noqa: E402

SHAPE = (1, 3, 224, 224)
TICK = os.sysconf("SC_CLK_TCK")
JSON_TARGET = 300


def cpu(pid: int) -> float:
    """The seconds of CPU that the process has used, exited threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def rest(address: str, path: str, body: bytes, headers: dict):
    """A function that sends one request and gives the size of its answer."""
    connection = http.client.HTTPConnection(address, timeout=30)

    def ask() -> int:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        assert response.status == 200, answer[:200]
        return len(answer)

    return ask


def call(address: str, path: str, message: bytes):
    limit = [("grpc.max_receive_message_length", -1)]
    channel = grpc.insecure_channel(address, limit)
    method = channel.unary_unary(path, request_serializer=None, response_deserializer=None)
    return lambda: len(method(message, timeout=30))


def measure(ask, pid: int, seconds: float) -> float:
    """CPU seconds for one request."""
    before, start, count = cpu(pid), time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        ask()
        count += 1
    return (cpu(pid) - before) / count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    arguments = parser.parse_args()
    echo = next((ROOT / "target/release/examples").glob("echo"), None)
    if echo is None:
        print("protocol.py: run cargo build --release --bins --example echo first", file=sys.stderr)
        return 2

    image = np.random.default_rng(0).random(SHAPE, np.float32)
    described = {"name": "x", "shape": SHAPE, "datatype": "FP32"}
    text = json.dumps({"inputs": [{**described, "data": to_json(image)}]}).encode()
    # As clients in Python print singles: with the digits of doubles. And with their own.
    short = [float(str(value)) for value in image.reshape(-1)]
    short_text = json.dumps({"inputs": [{**described, "data": short}]}).encode()
    binary = {**described, "parameters": {"binary_data_size": image.nbytes}}
    to_binary = {"parameters": {"binary_data_output": True}}
    head = json.dumps({"inputs": [binary], **to_binary}).encode()
    head_to_json = json.dumps({"inputs": [binary]}).encode()

    def length(head: bytes) -> dict:
        return {"Inference-Header-Content-Length": str(len(head))}

    request = service_pb2.ModelInferRequest(model_name="identity")
    request.inputs.add(name="x", datatype="FP32", shape=SHAPE)
    request.raw_input_contents.append(image.tobytes())
    wrapped = service_pb2.ModelInferRequest(raw_input_contents=[image.tobytes()])
    # A message with one field of bytes, as the tonic call takes: field 1 in place of 7.
    wrapped = b"\x0a" + wrapped.SerializeToString()[1:]
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Identity", ["x"], ["y"])],
            "identity",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, SHAPE)],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    bare = subprocess.Popen([echo], stdout=subprocess.PIPE, text=True)
    try:
        bare_address = bare.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as models:
            add(Path(models), "identity", model)
            with Server(Path(models), "--watch=off", "--event-loops=1") as server:
                pid = server.process.pid
                infer = "/v2/models/identity/infer"
                body = head + image.tobytes()
                ways = {
                    "bare axum, binary": (rest(bare_address, "/echo", body, {}), bare.pid),
                    "REST binary": (rest(server.address, infer, body, length(head)), pid),
                    "bare tonic": (call(bare_address, "/echo.Echo/Echo", wrapped), bare.pid),
                    "gRPC raw": (
                        call(server.address, "/inference.GRPCInferenceService/ModelInfer", request.SerializeToString()),
                        pid,
                    ),
                    "JSON in": (rest(server.address, infer, with_output(text), {}), pid),
                    "JSON in, short": (rest(server.address, infer, with_output(short_text), {}), pid),
                    "JSON out": (
                        rest(server.address, infer, head_to_json + image.tobytes(), length(head_to_json)),
                        pid,
                    ),
                }
                answered = ways["JSON out"][0]()
                rounds = []
                for ask, _ in ways.values():
                    for _ in range(20):
                        ask()
                for _ in range(arguments.rounds):
                    rounds.append({n: measure(a, p, arguments.seconds) for n, (a, p) in ways.items()})
    finally:
        bare.terminate()
        bare.wait()

    def median(of) -> float:
        return statistics.median(map(of, rounds))

    for name in rounds[0]:
        print(f"{name:<20} {1e6 * median(lambda r, n=name: r[n]):>8.0f} µs of CPU for a request")
    figures = [
        ("REST binary to bare axum", median(lambda r: r["REST binary"] / r["bare axum, binary"]), 3, True),
        ("gRPC raw to bare tonic", median(lambda r: r["gRPC raw"] / r["bare tonic"]), 4, True),
    ]
    # Of a JSON request all CPU is counted, the tensor's way through the model and out included.
    for name, size in (("JSON in", len(text)), ("JSON in, short", len(short_text)), ("JSON out", answered)):
        figures.append((f"{name}, MB/s", median(lambda r, n=name, s=size: s / 1e6 / r[n]), JSON_TARGET, False))
    missed = 0
    for name, value, target, at_most in figures:
        reached = value <= target if at_most else value >= target
        missed += not reached
        bound = "at most" if at_most else "at least"
        print(f"{name:<26} {value:>7.2f}  {bound} {target}: {'reached' if reached else 'MISSED'}")
    return 1 if missed else 0


def with_output(text: bytes) -> bytes:
    """The same request, with its answer asked for in binary."""
    return text[:-1] + b',"parameters":{"binary_data_output":true}}'


if __name__ == "__main__":
    sys.exit(main())
