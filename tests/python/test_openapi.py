"""/openapi.json under schemathesis, and the reference page."""

import gzip
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from open_inference.served import ROOT, Server


@pytest.fixture(scope="module")
def shipped():
    """The models of this repository, as scripts/serve serves them."""
    with Server(ROOT / "models", "--default-model=linear") as server:
        yield server


def read(url: str, **headers: str):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
        return response.headers, response.read()


def test_schemathesis_finds_nothing(shipped, tmp_path):
    command = Path(sys.executable).with_name("schemathesis")
    run = subprocess.run(
        [
            command,
            "run",
            f"{shipped.url}/openapi.json",
            "--checks=all",
            "--phases=examples,coverage,fuzzing,stateful",
            "--max-examples=25",
            "--generation-deterministic",
            "--workers=1",
            "--no-color",
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "No issues found" in run.stdout or "passed" in run.stdout, run.stdout


def test_every_model_has_its_own_request(shipped):
    document = json.loads(read(f"{shipped.url}/openapi.json")[1])
    paths = document["paths"]
    assert {"/predict", "/predict/linear", "/predict/iris", "/v2/models/linear/infer", "/metrics"} <= set(paths)
    schema = paths["/v2/models/iris/infer"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert [i["properties"]["datatype"]["const"] for i in schema["properties"]["inputs"]["prefixItems"]] == ["FP32"] * 4
    # Not offered without --allow-repository-control, and so not promised.
    assert not [path for path in paths if path.endswith("load")]


def test_the_reference_page_needs_nothing_from_elsewhere(shipped):
    headers, page = read(f"{shipped.url}/docs")
    assert headers["Content-Type"].startswith("text/html")
    assert b"http://" not in page and b"https://" not in page
    for name in ("swagger-ui.js", "swagger-ui.css", "start.js"):
        assert f"/docs/{name}".encode() in page
        _, plain = read(f"{shipped.url}/docs/{name}")
        headers, sent = read(f"{shipped.url}/docs/{name}", **{"Accept-Encoding": "gzip"})
        assert plain == (gzip.decompress(sent) if headers["Content-Encoding"] else sent)
