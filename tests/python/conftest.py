"""What the tests share."""

import os
from pathlib import Path

import pytest

# ONNX Runtime's official builds phone home unless this is set before they are loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def service(tmp_path_factory):
    """A service of every specimen, which callers may load and unload."""
    import specimens
    from open_inference.served import Server

    models = tmp_path_factory.mktemp("specimens")
    specimens.write(models)
    with Server(models, "--allow-repository-control", "--watch=off") as server:
        yield server
