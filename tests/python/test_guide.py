"""The guide for data scientists does what it says."""

import re
import subprocess

import readme
from conftest import environment


def test_every_command_of_the_guide_does_what_it_says(clone, modelship):
    guide = (clone / "models" / "README.md").read_text()
    (first, *others) = re.findall(r"^```python\n(.*?)^```$", guide, re.M | re.S)
    assert len(others) == 3
    (clone / "train.py").write_text(first)
    steps = readme.steps(guide)
    assert len(steps) >= 4
    for step in steps:
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", step.command],
            cwd=clone,
            env=environment(modelship),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert run.returncode == 0, f"models/README.md:{step.line}: {step.command}\n{run.stdout}{run.stderr}"
    log = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert log.stdout == ""
    manifest = (clone / "models" / "diabetes" / "model.toml").read_text()
    assert 'x = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]' in manifest
    assert len(list((clone / "models" / "diabetes" / "cases").iterdir())) == 10


def test_the_manifest_of_the_guide_is_one(clone, modelship):
    guide = (clone / "models" / "README.md").read_text()
    (manifest,) = re.findall(r"^```toml\n(.*?)^```$", guide, re.M | re.S)
    (clone / "models" / "diabetes").mkdir()
    (clone / "models" / "diabetes" / "model.toml").write_text(manifest.replace("…", "0" * 64))
    run = subprocess.run(
        ["modelship", "check"], cwd=clone, env=environment(modelship), capture_output=True, text=True, timeout=60
    )
    errors = [line for line in run.stdout.splitlines() if line.startswith("error")]
    # All that is wrong is that there is no such file.
    assert len(errors) == 1 and "model.onnx: it does not exist" in errors[0], run.stdout
