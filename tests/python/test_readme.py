"""Every command of README.md does what it says."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import readme

ADDRESS = re.compile(r"127\.0\.0\.1:([1-9]\d*)")


class Server:
    """A server in a process of its own, ready to answer."""

    def __init__(self, command: str, folder: Path, environment: dict[str, str]):
        self.log: list[str] = []
        self.process = subprocess.Popen(
            ["bash", "-euc", command.replace("scripts/serve", "exec scripts/serve")],
            cwd=folder,
            env={**environment, "MODELSHIP_LISTEN": "127.0.0.1:0"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.found = threading.Event()
        self.address = ""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.log.append(line)
            address = ADDRESS.search(line)
            if address and not self.address:
                self.address = address[0]
                self.found.set()
        self.found.set()

    def wait(self):
        # The build comes first, from nothing at worst.
        assert self.found.wait(timeout=900) and self.address, "".join(self.log)
        until = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://{self.address}/readyz", timeout=5):
                    return
            except (urllib.error.URLError, ConnectionError):
                assert self.process.poll() is None and time.monotonic() < until, "".join(self.log)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=60)
        finally:
            self.process.kill()
            self.reader.join(timeout=5)


@pytest.fixture
def environment(root) -> dict[str, str]:
    """What the commands see: the built binary on the PATH, no settings, and a name for commits."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELSHIP_")}
    git = {f"GIT_{role}_{part}": "readme" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    target = root / "target"
    return {
        **inherited,
        **git,
        "CARGO_TARGET_DIR": str(target),
        "PATH": f"{target / 'release'}:{inherited['PATH']}",
    }


@pytest.fixture
def copy(root, environment) -> Path:
    """A copy of the repository with a git of its own, in one place, so that only the first run builds it whole."""
    folder = root / "target" / "readme"
    for old in folder.glob("*"):
        if old.name not in (".tools", ".venv"):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=root, check=True, capture_output=True, text=True).stdout
    for file in filter(None, files.split("\0")):
        if (root / file).is_file():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / file, folder / file)
    for command in ("init --quiet --initial-branch=main", "add --all", "commit --quiet --message=all"):
        subprocess.run(["git", *command.split()], cwd=folder, check=True, env=environment)
    return folder


def test_every_command_does_what_it_says(copy, environment):
    servers = []
    steps = readme.steps((copy / "README.md").read_text())
    assert any(step.serves for step in steps)
    try:
        for step in steps:
            if step.serves:
                servers.append(Server(step.command, copy, environment))
                servers[-1].wait()
                continue
            command = step.command
            if servers:
                command = command.replace("localhost:8080", servers[-1].address)
            run = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", command],
                cwd=copy,
                env=environment,
                capture_output=True,
                text=True,
                timeout=600,
            )
            where = f"README.md:{step.line}: {step.command}"
            assert run.returncode == 0, f"{where}\n{run.stdout}{run.stderr}"
            if step.output is not None:
                output = run.stdout.replace(servers[-1].address, "localhost:8080") if servers else run.stdout
                assert readme.agrees(output, step.output), f"{where}\nprints {output}\nand not {step.output}"
    finally:
        statuses = [server.stop() for server in servers]
    assert set(statuses) == {0}


def test_steps_are_read_with_the_output_that_follows():
    text = "# A\n```sh\nscripts/serve\n```\nthen\n```sh\ncurl x\n```\n\n```json\n{}\n```\n```console\n$ no\n```\n"
    serve, curl = readme.steps(text)
    assert serve.serves and serve.output is None and serve.line == 2
    assert (curl.command, curl.output, curl.serves) == ("curl x\n", "{}\n", False)


@pytest.mark.parametrize(
    ("output", "promised", "agree"),
    [
        ('{"a":1}', '{"a":1}\n', True),
        ('{"a": 1}', '{"a":1}\n', False),
        ('{"a":1,"b":[2]}', '{\n "a": 1,\n "b": ["…"]\n}', True),
        ('{"a":1,"b":2}', '{\n "a": 1\n}', False),
        ('{"a":1,"b":2}', '{\n "a": 1,\n "…": "…"\n}', True),
        ('{"a":1.0}', '{\n "a": 1\n}', False),
        ('{"a":0.3000001}', '{\n "a": 0.3\n}', True),
        ('{"a":0.30001}', '{\n "a": 0.3\n}', False),
        ("took 3 ms\nok", "took … ms\nok", True),
        ("took 3 ms\nbad", "took … ms\nok", False),
    ],
)
def test_output_is_compared_as_promised(output, promised, agree):
    assert readme.agrees(output, promised) is agree
