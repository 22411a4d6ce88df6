"""One control plane for all tests, and a fresh state of it for each that changes something."""

import re
import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
# Rendering is the delivery tests' own.
for folder in (HERE, HERE.parent / "delivery", HERE.parents[1] / "scripts"):
    sys.path.insert(0, str(folder))

import control_plane  # noqa: E402
import upstream  # noqa: E402
from kubelet import Kubelet  # noqa: E402
from manifests import GITOPS, ROOT, localise  # noqa: E402


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """The API as it starts."""
    cluster = control_plane.started(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def cluster(bare):
    """With every CRD that gitops/ uses, from the projects that publish them."""
    crds = upstream.crds()
    assert len(crds) > 20
    done = bare.sync(crds)
    assert done.returncode == 0, done.stderr
    names = {crd["metadata"]["name"] for crd in crds}
    bare.kubectl("wait", "--for=condition=Established", "--timeout=90s", *(f"crd/{name}" for name in sorted(names)))
    return bare


@pytest.fixture
def clean(cluster):
    """The cluster with nothing of ours in it but CRDs."""
    spaces = ("modelship", "argocd", "argo-rollouts")

    def clear():
        cluster.kubectl("delete", "namespace", *spaces, "elsewhere", "--ignore-not-found", "--wait=false")
        cluster.until(
            "the namespaces are gone",
            lambda: not cluster.kubectl("get", "namespace", *spaces, "elsewhere", "--ignore-not-found"),
        )
        cluster.kubectl("delete", "clusterservingruntimes,nodes", "--all")

    with Kubelet(cluster):
        clear()
    yield cluster


@pytest.fixture
def kubelet(clean):
    with Kubelet(clean) as kubelet:
        yield kubelet


class Tree:
    """A clone with settings that somebody has filled in, and remote resources from Go modules."""

    def __init__(self, folder: Path, **changes: str):
        self.folder = folder
        shutil.copytree(GITOPS, folder / "gitops")
        shutil.copytree(ROOT / "scripts", folder / "scripts")
        self.set(IMAGE="ghcr.io/ada/modelship", GITOPS_URL="https://github.com/ada/modelship.git", **changes)
        for file in (folder / "gitops").rglob("kustomization.yaml"):
            localise(file)
        self.token = folder / "token"
        self.token.write_text("ghp_0123456789secret\n")

    def set(self, **changes: str) -> None:
        for key, value in changes.items():
            self.edit("settings/settings.env", rf"(?m)^{key}=.*$", f"{key}={value}")

    def edit(self, file: str, pattern: str, value: str) -> None:
        path = self.folder / "gitops" / file
        text, count = re.subn(pattern, value, path.read_text())
        assert count == 1, f"{file} has {pattern} {count} times"
        path.write_text(text)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path / "tree")
