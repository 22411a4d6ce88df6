"""What the tests share."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from left_out import left_out

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


@pytest.fixture(scope="module")
def browser():
    """Chromium, without a page yet."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if not chromium:
        left_out("no Chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def server(modelship, root, tmp_path):
    """A service of the models that ship, which may swap them."""
    from served_page import Served

    models = tmp_path / "models"
    shutil.copytree(root / "models", models, ignore=shutil.ignore_patterns("*.md"))
    with Served(modelship / "modelship", models, tmp_path / "log") as server:
        yield server


@pytest.fixture
def visit(browser):
    """Opens pages, and holds each to a clean console, to no cookies and to its own origin."""
    from playwright.sync_api import expect

    visits = []
    # Longer than anything here takes on a busy machine, in milliseconds.
    patience = 60_000

    def visit(server, fragment="", clean=True, before=lambda page: None, **how):
        context = browser.new_context(**how)
        context.set_default_timeout(patience)
        page = context.new_page()
        said, asked = [], []
        page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        before(page)
        page.goto(f"{server.origin}/{fragment}")
        visits.append((context, server.origin, said if clean else [], asked))
        return page

    expect.set_options(timeout=patience)
    yield visit
    for context, origin, said, asked in visits:
        cookies = context.cookies()
        context.close()
        assert said == []
        assert cookies == []
        assert [url for url in asked if not url.startswith((f"{origin}/", "data:"))] == []
