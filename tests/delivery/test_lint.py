"""The workflows, the Dockerfile and the shell scripts are clean by their linters, and the
workflows keep to what this project wants of them."""

import re
import subprocess

import pytest
import yaml

from manifests import GITOPS, ROOT, settings

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def clean(*command):
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr


def jobs():
    for file in WORKFLOWS:
        for name, job in yaml.safe_load(file.read_text())["jobs"].items():
            yield f"{file.name}: {name}", job


@pytest.mark.needs("zizmor")
def test_zizmor():
    # As strictly as the daily run, which asks online besides: it must not fail for what is known here.
    clean("zizmor", "--offline", "--pedantic", "--quiet", "--no-progress", ".github")


@pytest.mark.needs("actionlint", "shellcheck")
def test_actionlint():
    clean("actionlint")


@pytest.mark.needs("hadolint")
def test_hadolint():
    clean("hadolint", "Dockerfile")


@pytest.mark.needs("shellcheck")
def test_shellcheck():
    shell = [
        file
        for file in sorted((ROOT / "scripts").iterdir())
        if file.is_file() and re.match(rb"#!.*(bash|/sh)", file.read_bytes().split(b"\n")[0])
    ]
    assert len(shell) > 5
    clean("shellcheck", *map(str, shell))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_permissions_start_from_none(file):
    assert yaml.safe_load(file.read_text())["permissions"] == {}


def test_every_job_has_its_own_permissions_and_an_end():
    for name, job in jobs():
        assert "permissions" in job, name
        assert "uses" in job or job.get("timeout-minutes"), name


def test_only_named_jobs_can_write():
    """What may write what: a new line here is a decision."""
    writes = {
        (name, permission)
        for name, job in jobs()
        for permission, level in job["permissions"].items()
        if level == "write"
    }
    assert writes == {
        ("release.yml: image", "packages"),
        ("release.yml: publish", "packages"),
        ("release.yml: publish", "id-token"),
        ("release.yml: publish", "attestations"),
        ("release.yml: publish", "artifact-metadata"),
        ("release.yml: bump", "contents"),
        ("review-comment.yml: comment", "pull-requests"),
    }


def test_actions_are_pinned_and_leave_no_credentials():
    for name, job in jobs():
        for step in job.get("steps", []):
            uses = step.get("uses")
            if uses and not uses.startswith("./"):
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", uses), f"{name}: {uses}"
            if uses and uses.startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False, name


def test_no_expression_stands_in_a_shell_line():
    for name, job in jobs():
        for step in job.get("steps", []):
            assert "${{" not in step.get("run", ""), name


def test_a_bump_starts_no_release():
    triggers = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())[True]
    assert "gitops/**" in triggers["push"]["paths-ignore"]


def test_a_release_is_dropped_by_nothing():
    """A concurrency group keeps one pending run and drops the others."""
    release = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    assert "concurrency" not in release
    assert not any("concurrency" in job for job in release["jobs"].values())


def test_logic_lives_in_scripts():
    """A workflow's shell is a call, with the little that is between it and GitHub's variables."""
    for name, job in jobs():
        for step in job.get("steps", []):
            lines = [line for line in step.get("run", "").splitlines() if line.strip()]
            assert len(lines) <= 8, f"{name}: {step.get('name')} is {len(lines)} lines of shell"
            assert not re.search(r"\b(if|for|while|case)\b .*", step.get("run", "")), name


def test_one_place_names_owner_and_repository():
    """No file but settings.env says ghcr.io/… or the repository's address."""
    for value in ("IMAGE", "SOURCE_URL", "GITOPS_URL"):
        assert "OWNER" in settings()[value]
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard",
         "gitops", "scripts", ".github", "Dockerfile"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for path in listed.split():
        file = ROOT / path
        if not file.is_file() or file == GITOPS / "settings/settings.env" or file.suffix == ".md":
            continue
        text = file.read_text(errors="replace")
        assert not re.search(r"ghcr\.io/\w", text), path
        assert not re.search(r"github\.com/(OWNER|[\w-]+/modelship)", text), path


def test_base_images_are_pinned_by_digest():
    text = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^ARG (\w+_BASE)=(.+)$", text, re.M)
    assert {name for name, _ in bases} == {"RUST_BASE", "PYTHON_BASE", "RUNTIME_BASE"}
    for _, image in bases:
        assert re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", image)
    # One Debian release for all: the locale is compiled for the glibc that reads it.
    releases = {"trixie" if "trixie" in i or "debian13" in i else "bookworm" for _, i in bases}
    assert len(releases) == 1
    froms = re.findall(r"^FROM (\S+)", text, re.M)
    stages = set(re.findall(r"^FROM .* AS (\w+)", text, re.M)) | {"scratch"}
    assert all(f in stages or re.fullmatch(r"\$\{\w+_BASE\}", f) for f in froms)


def test_the_manifests_are_tested_against_the_kubernetes_of_the_server():
    """tests/cluster builds the API server of the version that K3s is pinned to, all parts of one."""
    text = (ROOT / "tests/cluster/go.mod").read_text()
    version = settings()["K3S_VERSION"].split("+")[0]
    assert set(re.findall(r"k8s\.io/kubernetes (v[\d.]+)", text)) == {version}
    parts = re.findall(r"^\t(k8s\.io/\S+) => \1 (v\S+)$", text, re.M)
    assert len(parts) > 20 and {part for _, part in parts} == {version.replace("v1.", "v0.")}


def renovate() -> str:
    return (ROOT / ".github/renovate.json5").read_text()


def test_renovate_finds_what_it_is_to_update():
    """Each of its regular expressions matches what it is written for."""
    found = {}
    text = renovate()
    expressions = re.findall(r'matchStrings: \["(.*)"\]', text)
    patterns = re.findall(r'managerFilePatterns: \["/(.*?)/"\],\n\s+matchStrings', text)
    assert len(expressions) == len(patterns) == 4
    for expression, pattern in zip(expressions, patterns):
        expression = expression.replace("\\\\", "\\").replace("(?<", "(?P<")
        pattern = pattern.replace("\\\\", "\\")
        for file in ROOT.rglob("*"):
            path = str(file.relative_to(ROOT))
            if path.startswith((".tools", "target", ".venv", ".git/")) or not file.is_file():
                continue
            if re.search(pattern, path):
                for match in re.finditer(expression, file.read_text()):
                    found[match["depName"]] = match["currentValue"]
    assert found["k3s-io/k3s"] == settings()["K3S_VERSION"]
    assert found["argoproj/argo-cd"].startswith("v3.")
    assert found["argoproj/argo-rollouts"].startswith("v1.")
    assert found["gcr.io/distroless/cc-debian13"] == "nonroot"
    assert found["docker.io/library/rust"] and found["docker.io/library/python"]
    assert found["github.com/rhysd/actionlint"] and found["sigs.k8s.io/kustomize/kustomize/v5"]
