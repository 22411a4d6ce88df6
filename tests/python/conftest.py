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
