"""Everything at once for a quarter of a minute: scripts/soak says what, and does it for an hour."""

import subprocess
import sys


def test_a_short_soak(root, modelship):
    done = subprocess.run(
        [sys.executable, root / "scripts/soak", "--short", "--seconds=15", f"--binary={modelship / 'modelship'}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
