"""Clients that exist already, unchanged, beside tritonclient's: KServe's SDK, and grpcurl."""

import base64
import importlib.util
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from left_out import left_out


def test_the_sdk_of_kserve(service, root):
    if importlib.util.find_spec("kserve") is None:
        left_out("KServe's SDK does not say that it works on this Python")
    script = root / "tests" / "python" / "kserve_client.py"
    command = [sys.executable, script, service.address]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.fixture(scope="module")
def grpcurl(root, service):
    """Calls the service by grpcurl, which knows of its messages what reflection says."""
    if not shutil.which("go"):
        left_out("there is no Go to build grpcurl with")
    program = root / ".tools" / "grpcurl"
    package = "github.com/fullstorydev/grpcurl/cmd/grpcurl"
    build = ["go", "build", "-o", program, package]
    built = subprocess.run(build, cwd=root / "tests" / "grpcurl", capture_output=True, text=True)
    assert built.returncode == 0, built.stderr

    def call(*arguments, message=None):
        data = [] if message is None else ["-d", json.dumps(message)]
        command = [program, "-plaintext", *data, service.address, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    return call


def answer(run):
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


SERVICE = "inference.GRPCInferenceService"


def test_grpcurl_finds_every_call(grpcurl):
    assert {SERVICE, "grpc.health.v1.Health"} <= set(grpcurl("list").stdout.split())
    calls = {line.rpartition(".")[2] for line in grpcurl("list", SERVICE).stdout.split()}
    assert {"ServerLive", "ModelInfer", "ModelStreamInfer", "ModelStatistics", "RepositoryIndex"} <= calls
    described = grpcurl("describe", "inference.ModelInferRequest").stdout
    assert "repeated bytes raw_input_contents = 7" in described


def test_grpcurl_asks_for_health_and_metadata(grpcurl):
    assert answer(grpcurl("grpc.health.v1.Health/Check")) == {"status": "SERVING"}
    named = answer(grpcurl("grpc.health.v1.Health/Check", message={"service": SERVICE}))
    assert named == {"status": "SERVING"}
    assert answer(grpcurl(f"{SERVICE}/ServerReady")) == {"ready": True}
    assert answer(grpcurl(f"{SERVICE}/ServerMetadata"))["name"] == "modelship"
    metadata = answer(grpcurl(f"{SERVICE}/ModelMetadata", message={"name": "sum"}))
    assert metadata["inputs"][0] == {"name": "a", "datatype": "FP32", "shape": ["-1", "3"]}


def test_grpcurl_infers(grpcurl):
    tensor = {"name": "x", "datatype": "FP32", "shape": [2]}
    typed = {"model_name": "versions", "inputs": [{**tensor, "contents": {"fp32_contents": [1.5, 2]}}]}
    (output,) = answer(grpcurl(f"{SERVICE}/ModelInfer", message=typed))["outputs"]
    assert output["contents"] == {"fp32Contents": [1.5, 2]} and output["shape"] == ["2"]

    bits = base64.b64encode(np.float32([1.5, 2]).tobytes()).decode()
    raw = {"model_name": "versions", "inputs": [tensor], "raw_input_contents": [bits]}
    assert answer(grpcurl(f"{SERVICE}/ModelInfer", message=raw))["rawOutputContents"] == [bits]
    assert answer(grpcurl(f"{SERVICE}/ModelStreamInfer", message=raw))["inferResponse"]["rawOutputContents"] == [bits]

    wrong = grpcurl(f"{SERVICE}/ModelInfer", message={**typed, "model_version": "v0.0.1"})
    assert wrong.returncode == 64 + 5 and "NotFound" in wrong.stderr and "v0.0.1" in wrong.stderr
