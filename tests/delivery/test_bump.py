"""scripts/bump-image with real git: bare repositories, clones, pushes that race."""

import json
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

import delivery_loop as loop
from manifests import GITOPS, ROOT

SCRIPT = ROOT / "scripts/bump-image"
MODEL = """\
name = "linear"
version = "{version}"

[[files]]
path = "model.onnx"
sha256 = "{sha256}"
"""


def digest(n: int) -> str:
    return f"sha256:{n:064x}"


class Repository:
    """A bare repository with gitops/ and a model in it, and clones of it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.bare = folder / "origin.git"
        self.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.bare), cwd=folder)
        self.clone = folder / "clone"
        self.git("clone", "--quiet", str(self.bare), str(self.clone), cwd=folder)
        shutil.copytree(GITOPS, self.clone / "gitops")

    def git(self, *args, cwd=None, check=True):
        run = subprocess.run(["git", *args], cwd=cwd or self.clone, capture_output=True, text=True, check=False)
        assert not check or run.returncode == 0, run.stderr
        return run.stdout.strip()

    def release(self, n: int) -> str:
        """A commit with version v1.<n>.0 of the model, pushed to main."""
        self.git("fetch", "--quiet")
        if self.git("ls-remote", "--heads", "origin"):
            self.git("reset", "--quiet", "--hard", "origin/main")
        file = self.clone / "models/linear/model.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(MODEL.format(version=f"v1.{n}.0", sha256=f"{n:064x}"))
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", f"Model v1.{n}.0")
        self.git("push", "--quiet", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def at(self, commit: str, name: str) -> Path:
        """A clone that has checked that commit out, as a workflow's run has."""
        path = self.folder / name
        self.git("clone", "--quiet", str(self.bare), str(path), cwd=self.folder)
        self.git("checkout", "--quiet", "--detach", commit, cwd=path)
        return path

    def head(self) -> str:
        return self.git("rev-parse", "main", cwd=self.bare)

    def show(self, path: str) -> str:
        return self.git("show", f"main:{path}", cwd=self.bare)

    def deployed(self) -> tuple[str, str]:
        """The commit and the digest that main holds."""
        image = yaml.safe_load(self.show("gitops/release/kustomization.yaml"))["images"][0]
        release = json.loads(self.show("gitops/release/release.json"))
        assert image["newTag"] == release["commit"]
        return release["commit"], image["digest"]


def command(source: Path, commit: str, number: int, *more: str, repository=None) -> list[str]:
    where = ["--repository", str(repository)] if repository else []
    return [
        sys.executable, str(SCRIPT), "--source", str(source), "--commit", commit,
        "--digest", digest(number), "--no-verify", *where, *more,
    ]  # fmt: skip


def bump(*args, **kwargs):
    return subprocess.run(command(*args, **kwargs), capture_output=True, text=True, timeout=120)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "release")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "release@example.org")
    return Repository(tmp_path)


def test_writes_tag_digest_and_models_and_keeps_everything_else(repository):
    commit = repository.release(1)
    file = repository.clone / "gitops/release/kustomization.yaml"
    marked = file.read_text().replace("digest: sha", "# a note\n    digest: sha").replace(
        "newTag: unreleased", "newTag: unreleased  # by the release"
    )  # fmt: skip
    file.write_text(marked)
    repository.git("commit", "--quiet", "-am", "Notes")
    repository.git("push", "--quiet", "origin", "HEAD:main")
    run = bump(repository.clone, commit, 7, repository=repository.bare)
    assert run.returncode == 0, run.stderr
    assert repository.deployed() == (commit, digest(7))
    after = repository.show("gitops/release/kustomization.yaml")
    want = marked.replace("newTag: unreleased", f"newTag: {commit}").replace(digest(0), digest(7))
    assert after == want.strip()
    assert json.loads(repository.show("gitops/release/release.json"))["models"] == [
        {
            "name": "linear",
            "version": "v1.1.0",
            "files": [{"path": "model.onnx", "sha256": f"{1:064x}"}],
        }
    ]
    changed = repository.git("diff", "--name-only", "main~", "main", cwd=repository.bare)
    assert changed.split() == ["gitops/release/kustomization.yaml", "gitops/release/release.json"]


def test_the_message_names_the_models_and_links_the_source(repository):
    commit = repository.release(3)
    bump(repository.clone, commit, 1, repository=repository.bare)
    message = repository.git("log", "-1", "--format=%B", "main", cwd=repository.bare)
    assert message.startswith("Release linear v1.3.0\n")
    assert f"https://github.com/OWNER/modelship/commit/{commit}" in message
    assert f"ghcr.io/OWNER/modelship:{commit}@{digest(1)}" in message


def test_no_commit_when_nothing_changes(repository):
    commit = repository.release(1)
    bump(repository.clone, commit, 1, repository=repository.bare)
    before = repository.head()
    run = bump(repository.clone, commit, 1, repository=repository.bare)
    assert run.returncode == 0 and "nothing to do" in run.stdout
    assert repository.head() == before


def test_an_older_commit_gives_way(repository):
    old, new = repository.release(1), repository.release(2)
    bump(repository.clone, new, 2, repository=repository.bare)
    before = repository.head()
    run = bump(repository.at(old, "late"), old, 1, repository=repository.bare)
    assert run.returncode == 0 and "gives way" in run.stdout
    assert repository.head() == before


def test_an_older_run_learns_of_a_newer_commit(repository):
    """The run's clone was made before the newer commit existed: it has to fetch it."""
    old = repository.release(1)
    early = repository.at(old, "early")
    new = repository.release(2)
    bump(repository.clone, new, 2, repository=repository.bare)
    run = bump(early, old, 1, repository=repository.bare)
    assert run.returncode == 0 and "gives way" in run.stdout


def test_a_rollback_has_to_be_allowed(repository):
    old, new = repository.release(1), repository.release(2)
    bump(repository.clone, new, 2, repository=repository.bare)
    run = bump(repository.clone, old, 1, "--allow-rollback", repository=repository.bare)
    assert run.returncode == 0, run.stderr
    assert repository.deployed() == (old, digest(1))


def test_what_does_not_descend_is_refused(repository):
    base = repository.release(1)
    deployed = repository.release(2)
    bump(repository.clone, deployed, 2, repository=repository.bare)
    side = repository.at(base, "side")
    (side / "models/linear/model.toml").write_text(MODEL.format(version="v2.0.0", sha256="0" * 64))
    repository.git("commit", "--quiet", "-am", "Aside", cwd=side)
    aside = repository.git("rev-parse", "HEAD", cwd=side)
    run = bump(side, aside, 3, repository=repository.bare)
    assert run.returncode == 1
    assert f"does not descend from {deployed}" in run.stderr and "--allow-rollback" in run.stderr
    assert repository.deployed() == (deployed, digest(2))


def test_a_separate_gitops_repository(repository, tmp_path):
    """One variable: GITOPS_URL. The tree may lie at the root of the other repository."""
    other = tmp_path / "gitops.git"
    work = tmp_path / "gitops-work"
    repository.git("init", "--quiet", "--bare", "--initial-branch=main", str(other), cwd=tmp_path)
    shutil.copytree(GITOPS, work)
    for args in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "Start"],
                 ["push", "-q", str(other), "main"]):  # fmt: skip
        repository.git(*args, cwd=work)
    commit = repository.release(1)
    settings = repository.clone / "gitops/settings/settings.env"
    text = settings.read_text().replace("GITOPS_URL=https://github.com/OWNER/modelship.git", f"GITOPS_URL={other}")
    settings.write_text(text.replace("GITOPS_PATH=gitops", "GITOPS_PATH=."))
    run = bump(repository.clone, commit, 5)
    assert run.returncode == 0, run.stderr
    release = json.loads(repository.git("show", "main:release/release.json", cwd=other))
    assert release["commit"] == commit


def test_ten_at_once_all_land_or_give_way(repository):
    """Ten runs for ten commits in a row, each from its own clone, all at the same time."""
    commits = [repository.release(n) for n in range(1, 11)]
    clones = [repository.at(commit, f"run-{n}") for n, commit in enumerate(commits)]
    # An eleventh writer, that pushes something else meanwhile.
    other = repository.at(commits[-1], "other")
    before = repository.head()
    runs = [
        subprocess.Popen(
            command(clone, commit, n, repository=repository.bare),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for n, (clone, commit) in enumerate(zip(clones, commits))
    ]  # fmt: skip
    (other / "README.md").write_text("Something else\n")
    repository.git("add", ".", cwd=other)
    repository.git("commit", "--quiet", "-m", "Something else", cwd=other)
    for _ in range(50):
        repository.git("pull", "--quiet", "--rebase", "origin", "main", cwd=other)
        push = subprocess.run(["git", "push", "-q", "origin", "HEAD:main"], cwd=other, capture_output=True)
        if push.returncode == 0:
            break
    assert push.returncode == 0
    outputs = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0] * 10, outputs

    # The newest is deployed.
    assert repository.deployed() == (commits[-1], digest(9))
    # Linear: no merge, nothing rewritten, and one commit for each that says it was written.
    log = repository.git("log", "--reverse", "--format=%P|%s|%H", f"{before}..main", cwd=repository.bare).splitlines()
    assert all(len(line.split("|")[0].split()) == 1 for line in log)
    repository.git("merge-base", "--is-ancestor", before, "main", cwd=repository.bare)
    released = [line.split("|")[1] for line in log if line.split("|")[1].startswith("Release")]
    written = [n for n, (out, _) in enumerate(outputs) if out.startswith("written")]
    gave_way = [n for n, (out, _) in enumerate(outputs) if out.startswith("gives way")]
    assert sorted(written + gave_way) == list(range(10))
    # Monotonic: versions only rise, and each that was written is there.
    assert released == [f"Release linear v1.{n + 1}.0" for n in written]
    assert repository.show("README.md") == "Something else"


def test_a_refused_push_is_not_tried_again(repository):
    commit = repository.release(1)
    hook = repository.bare / "hooks/pre-receive"
    hook.write_text(f"#!/bin/sh\necho x >> {repository.folder}/asked\necho branch is protected >&2\nexit 1\n")
    hook.chmod(0o755)
    run = bump(repository.clone, commit, 1, repository=repository.bare)
    assert run.returncode == 1 and "branch is protected" in run.stderr
    assert (repository.folder / "asked").read_text() == "x\n"


def test_the_tries_are_bounded(repository):
    """A branch that moves under every push: the hook itself moves it."""
    commit = repository.release(1)
    hook = repository.bare / "hooks/pre-receive"
    hook.write_text(
        "#!/bin/sh\nunset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\n"
        f"echo x >> {repository.folder}/asked\n"
        'new=$(git commit-tree -p main -m moved "main^{tree}")\n'
        "git update-ref refs/heads/main $new\nexit 1\n"
    )
    hook.chmod(0o755)
    run = bump(repository.clone, commit, 1, "--attempts", "3", repository=repository.bare)
    assert run.returncode == 1 and "moved under each of 3 pushes" in run.stderr
    assert (repository.folder / "asked").read_text() == "x\n" * 3


def test_a_shallow_source_is_completed(repository):
    """actions/checkout fetches one commit unless told otherwise."""
    old = repository.release(1)
    bump(repository.clone, old, 1, repository=repository.bare)
    new = repository.release(2)
    shallow = repository.folder / "shallow"
    origin = f"file://{repository.bare}"
    repository.git(
        "clone", "--quiet", "--depth=1", origin, str(shallow), cwd=repository.folder
    )  # fmt: skip
    run = bump(shallow, new, 2, repository=repository.bare)
    assert run.returncode == 0, run.stderr
    assert repository.deployed() == (new, digest(2))


def test_the_token_is_never_shown(repository, monkeypatch):
    monkeypatch.setenv("BUMP_TOKEN", "ghp_verysecret")
    monkeypatch.setenv("GIT_TRACE", "1")
    commit = repository.release(1)
    run = bump(repository.clone, commit, 1, repository=repository.bare)
    assert run.returncode == 0, run.stderr
    assert "verysecret" not in run.stdout + run.stderr


def test_the_token_goes_to_the_gitops_host_alone(repository, monkeypatch):
    """The source's remote is another server: it sees no token. The gitops repository's does."""
    commit = repository.release(1)
    with loop.GitRemote(repository.folder, token="ghp_verysecret") as gitops, Listener() as source:
        repository.git("config", "http.receivepack", "true", cwd=repository.bare)
        repository.git("remote", "set-url", "origin", f"{source.url}/source.git")
        # A deployed commit that the clone does not know makes it ask its own remote.
        release = json.loads((GITOPS / "release/release.json").read_text()) | {"commit": "1" * 40}
        (repository.clone / "gitops/release/release.json").write_text(json.dumps(release))
        repository.git("commit", "--quiet", "-am", "Another")
        repository.git("push", "--quiet", str(repository.bare), "HEAD:main")
        monkeypatch.setenv("BUMP_TOKEN", "ghp_verysecret")
        where = f"{gitops.url}/{repository.bare.name}"
        run = bump(repository.clone, commit, 1, repository=where)
        assert run.returncode == 1 and "does not descend" in run.stderr
        assert source.heads and not any("authorization" in head for head in source.heads)
        # And with the token it is pushed.
        run = bump(repository.clone, commit, 1, "--allow-rollback", repository=where)
        assert run.returncode == 0, run.stderr
    assert repository.deployed() == (commit, digest(1))


class Listener:
    """A server that keeps the headers that it is asked with, and has nothing."""

    def __init__(self):
        self.heads = heads = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                heads.append({key.lower() for key in self.headers})
                self.send_error(404)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["--commit", "abc", "--digest", digest(1)], "40 digits"),
        (["--commit", "a" * 40, "--digest", "sha256:1"], "64 digits"),
        (["--commit", "a" * 40, "--digest", digest(1), "--tag", "a:b"], "not a tag"),
    ],
)
def test_wrong_use_is_named(args, reason):
    run = subprocess.run([sys.executable, str(SCRIPT), *args], capture_output=True, text=True)
    assert run.returncode == 2 and reason in run.stderr


def test_a_commit_without_models_is_refused(repository):
    repository.release(1)
    repository.git("rm", "-rq", "models")
    repository.git("commit", "--quiet", "-m", "No models")
    commit = repository.git("rev-parse", "HEAD")
    run = bump(repository.clone, commit, 1, repository=repository.bare)
    assert run.returncode == 1 and "holds no models" in run.stderr
