"""scripts/doctor against the real API: what it reads there, and what it says of it."""

import json
import subprocess
import sys

import pytest

from manifests import render
from test_rollout import release, settled


@pytest.fixture
def system(kubelet, tree):
    """The service rolled out, the secrets, a node, and Applications as Argo CD leaves them."""
    cluster = kubelet.cluster
    gitops = tree.folder / "gitops"
    release(tree, 1)
    tree.edit("base/deployment.yaml", "minReadySeconds: 5", "minReadySeconds: 1")
    model = {"name": "linear", "version": "v1.1.0", "files": [{"path": "model.onnx", "sha256": "aa"}]}
    (gitops / "release/release.json").write_text(json.dumps({"commit": "c" * 40, "models": [model]}))
    for target in ("namespaces", "overlays/production", "apps"):
        documents = [d for d in render(target, gitops) if d["kind"] != "Job"]
        assert cluster.sync(documents).returncode == 0
    done = subprocess.run(
        [str(tree.folder / "scripts/bootstrap-k3s"), "--secrets", "--user", "ada", "--token-file", str(tree.token)],
        env=cluster.environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "one"}}
    assert cluster.sync([node]).returncode == 0
    status = {
        "conditions": [{"type": "Ready", "status": "True"}],
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "nodeInfo": dict.fromkeys(NODE_INFO, "x") | {"kubeletVersion": version(tree)},
    }
    patch(cluster, "node/one", {"status": status}, "--subresource=status")
    for app in ("root", "namespaces", "argocd", "modelship"):
        state = {"sync": {"status": "Synced"}, "health": {"status": "Healthy"}}
        patch(cluster, f"application/{app}", {"status": state}, "-n", "argocd")
    cluster.until("the roll-out", lambda: settled(cluster))
    return cluster


NODE_INFO = (
    "machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "containerRuntimeVersion",
    "kubeProxyVersion", "operatingSystem", "architecture",
)  # fmt: skip


def patch(cluster, what: str, change: dict, *more: str) -> None:
    cluster.kubectl("patch", what, "--type=merge", "-p", json.dumps(change), *more)


def version(tree) -> str:
    lines = (tree.folder / "gitops/settings/settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))["K3S_VERSION"]


def ask(cluster, tree) -> dict[str, tuple[str, str]]:
    """Title -> (ok or BAD, what is said)."""
    # No port of this machine is the cluster's: what those lines say is tested elsewhere.
    done = subprocess.run(
        [sys.executable, str(tree.folder / "scripts/doctor"), "--service-port", "1", "--ui-port", "1",
         "--github-api", "http://127.0.0.1:1/", "--release", str(tree.folder / "gitops/release/release.json")],
        env=cluster.environment(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert not done.stderr, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith(("ok  ", "BAD "))]
    return {line[5:].split(": ")[0]: (line[:4].strip(), line) for line in lines}


def test_what_it_reads_in_the_api_is_well(system, tree):
    said = ask(system, tree)
    for title in ("cluster", "release in git", "applications", "pods", "pull secret"):
        assert said[title][0] == "ok", said[title][1]
    assert f"1 node(s) ready, {version(tree)}" in said["cluster"][1]
    assert "4 synced and healthy" in said["applications"][1]
    assert "1 ready, ghcr.io/ada/modelship:release-1@sha256:" in said["pods"][1]
    assert "ghcr-pull in modelship, of the right type, for ghcr.io" in said["pull secret"][1]


def test_each_thing_that_is_wrong_is_said(system, tree):
    system.kubectl("delete", "node", "one")
    state = {"operationState": {"phase": "Failed", "message": "modelship-verify failed"}}
    operation = {"operation": {"sync": {}}, "startedAt": "2026-01-01T00:00:00Z"}
    patch(
        system,
        "application/modelship",
        {"status": {"operationState": state["operationState"] | operation}},
        "-n",
        "argocd",
    )
    system.kubectl("delete", "secret", "-n", "modelship", "ghcr-pull")
    system.kubectl("create", "secret", "generic", "-n", "default", "ghcr-pull", "--from-literal=a=b")
    try:
        said = ask(system, tree)
    finally:
        system.kubectl("delete", "secret", "-n", "default", "ghcr-pull")
    assert "there is none" in said["cluster"][1]
    assert "its last sync failed (modelship-verify failed)" in said["applications"][1]
    assert "is not in the namespace modelship; it is in default" in said["pull secret"][1]
    assert {said[title][0] for title in ("cluster", "applications", "pull secret", "pull")} == {"BAD"}
