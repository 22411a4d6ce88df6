"""What overload does, in short: scripts/overload says how."""

import os
import subprocess
import sys


def test_more_than_can_be_answered_is_refused_and_harms_nothing(root, modelship):
    build = ["cargo", "build", "--locked", "--quiet", "--example", "load"]
    subprocess.run(build, cwd=root, check=True)
    done = subprocess.run(
        [sys.executable, root / "tests/bench/overload.py", "--short", "--seconds=1"],
        env={**os.environ, "PYTHONPATH": str(root / "scripts")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
