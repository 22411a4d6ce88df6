"""What the tests share."""

import os
import shutil
import subprocess
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


@pytest.fixture(scope="session")
def modelship(root) -> Path:
    """The folder of the binary, built from this tree.

    As scripts/test has built it just before: cargo build alone would choose other features of the
    dependencies, without those that only tests ask for, and compile them all again.
    """
    subprocess.run(["cargo", "test", "--no-run", "--locked", "--quiet"], cwd=root, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", root / "target")) / "debug"


@pytest.fixture
def clone(root, tmp_path) -> Path:
    """The models in a git repository of their own, with what scripts/setup puts beside them."""
    shutil.copytree(root / "models", tmp_path / "models", ignore=shutil.ignore_patterns("__pycache__"))
    for tools in (".venv", ".tools"):
        (tmp_path / tools).symlink_to(root / tools)
    (tmp_path / ".gitignore").write_text("/.venv\n/.tools\n")
    for command in ("init --quiet --initial-branch=main", "add --all", "commit --quiet --message=all"):
        subprocess.run(["git", *command.split()], cwd=tmp_path, check=True, env=environment())
    return tmp_path


def environment(modelship: Path | None = None) -> dict[str, str]:
    """No settings, a name for commits, and the folder of the binary on the PATH."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELSHIP_")}
    git = {f"GIT_{role}_{part}": "test" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    path = f"{modelship}:{inherited['PATH']}" if modelship else inherited["PATH"]
    return {**inherited, **git, "PATH": path}
