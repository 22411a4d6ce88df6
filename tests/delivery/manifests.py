"""Renders the kustomizations of gitops/ and takes the result apart."""

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import yaml

import upstream

ROOT = upstream.ROOT
GITOPS = ROOT / "gitops"

# Every kustomization that Argo CD or a person applies. Components are rendered in their users.
TARGETS = [
    "apps",
    "argo-rollouts",
    "argocd",
    "namespaces",
    "overlays/autoscaled",
    "overlays/canary",
    "overlays/kserve",
    "overlays/multi-node",
    "overlays/production",
]
OVERLAYS = [target for target in TARGETS if target.startswith("overlays/")]


class RenderError(Exception):
    """kustomize's own words."""


def render(target: str, gitops: Path = GITOPS) -> list[dict]:
    """The manifests of one kustomization, as Argo CD's kustomize renders them.

    Remote resources are read from the Go modules of the projects that publish them, at the
    version that ?ref= names: see upstream.py.
    """
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "gitops"
        shutil.copytree(gitops, tree)
        for file in tree.rglob("kustomization.yaml"):
            localise(file)
        run = subprocess.run(["kustomize", "build", str(tree / target)], capture_output=True, text=True, timeout=120)
    if run.returncode:
        raise RenderError(run.stderr.strip())
    return [document for document in yaml.load_all(run.stdout, upstream.Loader) if document]


def localise(file: Path) -> None:
    def local(match):
        start, url, version = match.groups()
        module, name = upstream.REMOTE[url]
        assert upstream.pinned()[module] == version
        (file.parent / "upstream.yaml").write_text(upstream.text(module, name))
        return f"{start}upstream.yaml"

    text = file.read_text()
    replaced = upstream.REMOTE_LINE.sub(local, text)
    if replaced != text:
        file.write_text(replaced)


@functools.cache
def rendered(target: str) -> tuple[dict, ...]:
    return tuple(render(target))


def settings(gitops: Path = GITOPS) -> dict[str, str]:
    lines = (gitops / "settings/settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def name(document: dict) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


def find(documents, kind: str, name: str | None = None) -> dict:
    """The one manifest of that kind (and name)."""
    found = [
        document for document in documents if document["kind"] == kind and name in (None, document["metadata"]["name"])
    ]
    assert len(found) == 1, f"{len(found)} manifests are {kind} {name or ''}"
    return found[0]


def pod(document: dict) -> dict | None:
    """The pod specification in a workload, or None."""
    kind, spec = document["kind"], document.get("spec") or {}
    if kind in ("Deployment", "StatefulSet", "DaemonSet", "Job", "ReplicaSet", "Rollout"):
        return spec["template"]["spec"]
    if kind == "CronJob":
        return spec["jobTemplate"]["spec"]["template"]["spec"]
    if kind == "Pod":
        return spec
    if kind in ("ClusterServingRuntime", "ServingRuntime"):
        return spec
    return None


def containers(document: dict) -> list[dict]:
    spec = pod(document) or {}
    return spec.get("containers", []) + spec.get("initContainers", [])
