"""A test names the tools that it runs; one that is missing leaves the test out, but fails in CI."""

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))


def pytest_runtest_setup(item):
    for mark in item.iter_markers("needs"):
        missing = [tool for tool in mark.args if shutil.which(tool) is None]
        if not missing:
            continue
        reason = f"{', '.join(missing)} not found: run scripts/test-delivery, which installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
