"""scripts/bootstrap-k3s on a real API, and Argo CD's applies over what it has made."""

import copy
import json
import subprocess

import pytest

from manifests import find, render

KINDS = "services,configmaps,secrets,serviceaccounts,namespaces,applications,appprojects,crds,clusterroles"


def bootstrap(cluster, tree, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(tree.folder / "scripts/bootstrap-k3s"), "--existing", "--user", "ada", *arguments],
        env=cluster.environment(), capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def system(kubelet, tree):
    """What a first run leaves, and the tree that it was run in."""
    done = bootstrap(kubelet.cluster, tree, "--token-file", str(tree.token))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ghp_" not in done.stdout + done.stderr
    return kubelet.cluster


def sync(cluster, tree, target="overlays/production") -> list[dict]:
    documents = [d for d in render(target, tree.folder / "gitops") if not hook(d)]
    done = cluster.sync(documents)
    assert done.returncode == 0, done.stderr
    return documents


def hook(document: dict) -> bool:
    return "argocd.argoproj.io/hook" in document["metadata"].get("annotations", {})


def ports(cluster) -> list[int]:
    return [port["nodePort"] for port in cluster.get("service", "-n", "modelship", "modelship")["spec"]["ports"]]


def test_a_first_run_a_second_and_what_argo_cd_then_owns(system, tree):
    assert ports(system) == [32199]
    assert [p["nodePort"] for p in system.get("service", "-n", "argocd", "argocd-server")["spec"]["ports"]] == [30081]
    secret = system.get("secret", "-n", "modelship", "ghcr-pull")
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    names = {app["metadata"]["name"] for app in system.get("applications", "-n", "argocd")["items"]}
    assert names == {"root", "namespaces", "argocd", "modelship"}

    # Run again it writes nothing that is so already.
    before = versions(system)
    done = bootstrap(system, tree)
    assert done.returncode == 0, done.stdout + done.stderr
    assert versions(system) == before

    # One owner of what git declares: Argo CD's next sync may change and take away all of it.
    for target, kind, name in (
        ("overlays/production", "Service", "modelship"),
        ("apps", "Application", "root"),
        ("argocd", "Service", "argocd-server"),
        ("namespaces", "Namespace", "modelship"),
    ):
        documents = render(target, tree.folder / "gitops")
        document = find(documents, kind, name)
        done = system.sync([document])
        assert done.returncode == 0, done.stderr
        where = ["-n", document["metadata"]["namespace"]] if "namespace" in document["metadata"] else []
        live = system.get(kind, *where, name, "--show-managed-fields")
        appliers = {m["manager"] for m in live["metadata"]["managedFields"] if m["operation"] == "Apply"}
        assert appliers == {"argocd-controller"}, f"{kind} {name}: {appliers}"


def versions(cluster) -> dict[str, str]:
    listed = cluster.get(KINDS, "-A")["items"]
    return {
        "/".join((i["kind"], i["metadata"].get("namespace", ""), i["metadata"]["name"])): i["metadata"][
            "resourceVersion"
        ]
        for i in listed
    }


def test_moving_the_port_leaves_one(system, tree):
    """By the NodePort alone, by the Service's own port, by both: each sync leaves what git says."""
    sync(system, tree)
    tree.edit("base/service.yaml", "nodePort: 32199", "nodePort: 30085")
    sync(system, tree)
    assert ports(system) == [30085]
    tree.edit("base/service.yaml", "port: 80\n", "port: 8081\n")
    sync(system, tree)
    assert ports(system) == [30085]
    assert [p["port"] for p in system.get("service", "-n", "modelship", "modelship")["spec"]["ports"]] == [8081]
    tree.edit("argocd/nodeport.yaml", "port: 443", "port: 8443")
    server = find(render("argocd", tree.folder / "gitops"), "Service", "argocd-server")
    assert system.sync([server]).returncode == 0
    assert [p["port"] for p in system.get("service", "-n", "argocd", "argocd-server")["spec"]["ports"]] == [8443]


def test_what_git_drops_is_gone(system, tree):
    """A field that bootstrap wrote and a commit takes away does not stay behind."""
    tree.edit("base/service.yaml", "      appProtocol: kubernetes.io/h2c\n", "")
    sync(system, tree)
    assert "appProtocol" not in system.get("service", "-n", "modelship", "modelship")["spec"]["ports"][0]


def test_a_port_that_is_taken_is_named_with_its_holder(kubelet, tree):
    cluster = kubelet.cluster
    cluster.kubectl("create", "namespace", "elsewhere")
    other = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "greedy", "namespace": "elsewhere"},
        "spec": {"type": "NodePort", "selector": {"a": "b"}, "ports": [{"port": 1, "nodePort": 32199}]},
    }
    assert cluster.sync([other]).returncode == 0
    done = bootstrap(cluster, tree, "--token-file", str(tree.token))
    assert done.returncode == 1 and "NodePort 32199 is taken, by elsewhere/greedy" in done.stderr, done.stderr


def test_a_secret_of_the_wrong_type_is_made_anew(system, tree):
    system.kubectl("delete", "secret", "-n", "modelship", "ghcr-pull")
    system.kubectl("create", "secret", "generic", "-n", "modelship", "ghcr-pull", "--from-literal=token=x")
    before = versions(system)
    done = bootstrap(system, tree, "--secrets", "--token-file", str(tree.token))
    assert done.returncode == 0, done.stdout + done.stderr
    assert system.get("secret", "-n", "modelship", "ghcr-pull")["type"] == "kubernetes.io/dockerconfigjson"
    changed = {key for key, version in versions(system).items() if before.get(key) != version}
    assert changed == {"Secret/modelship/ghcr-pull"}


def test_the_repository_secret_is_argo_cd_s(system, tree):
    done = bootstrap(system, tree, "--secrets", "--repository-token-file", str(tree.token))
    assert done.returncode == 0, done.stdout + done.stderr
    found = system.get("secrets", "-n", "argocd", "-l", "argocd.argoproj.io/secret-type=repository")["items"]
    assert [secret["metadata"]["name"] for secret in found] == ["gitops-repository"]


def test_the_kubeconfig_of_another_cluster_is_named(cluster, tree):
    environment = cluster.environment() | {"KUBECONFIG": str(tree.folder / "none")}
    done = subprocess.run(
        [str(tree.folder / "scripts/bootstrap-k3s"), "--existing", "--user", "ada", "--token-file", str(tree.token)],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1 and "the cluster does not answer: is KUBECONFIG set" in done.stderr


def test_self_heal_brings_the_service_back(system, tree):
    """What scripts/e2e-cluster breaks by hand, by the very commands, and what a sync makes of it."""
    documents = sync(system, tree)
    service = find(documents, "Service", "modelship")
    system.kubectl("delete", "service", "-n", "modelship", "modelship")
    assert system.sync([service]).returncode == 0
    assert ports(system) == [32199]
    patch = [
        {"op": "replace", "path": "/spec/type", "value": "ClusterIP"},
        {"op": "remove", "path": "/spec/externalTrafficPolicy"},
        {"op": "remove", "path": "/spec/ports/0/nodePort"},
    ]
    system.kubectl("patch", "service", "-n", "modelship", "modelship", "--type=json", "-p", json.dumps(patch))
    assert system.sync([copy.deepcopy(service)]).returncode == 0
    live = system.get("service", "-n", "modelship", "modelship")["spec"]
    assert (live["type"], live["externalTrafficPolicy"], ports(system)) == ("NodePort", "Local", [32199])
