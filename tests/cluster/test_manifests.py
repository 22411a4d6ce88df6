"""The real API takes what gitops/ renders: its validation, its admission, the CRDs' own rules."""

import copy
import json
import shutil

import pytest

from manifests import GITOPS, OVERLAYS, TARGETS, find, name, pod, render, rendered


@pytest.fixture(scope="module")
def spaces(cluster):
    """The namespaces, for real: all else is tried in them without being kept."""
    done = cluster.sync([*rendered("namespaces"), find(rendered("argo-rollouts"), "Namespace")])
    assert done.returncode == 0, done.stderr
    for space in ("modelship", "argocd", "argo-rollouts"):
        cluster.until("its service account", lambda space=space: cluster.get("serviceaccount", "-n", space, "default"))
    return cluster


@pytest.mark.parametrize("target", TARGETS)
def test_the_api_takes_it_without_a_warning(spaces, target):
    done = spaces.sync(list(rendered(target)), "--dry-run=server")
    assert done.returncode == 0, done.stderr
    # Deprecated versions, fields that are dropped, pods that the namespace would refuse.
    assert "Warning" not in done.stderr, done.stderr
    assert len(done.stdout.splitlines()) == len(rendered(target))


def test_the_api_takes_the_optional_components(spaces, tmp_path):
    tree = tmp_path / "gitops"
    shutil.copytree(GITOPS, tree)
    for folder in ("overlays/production", "overlays/canary", "apps"):
        file = tree / folder / "kustomization.yaml"
        file.write_text(file.read_text().replace("  # - ", "  - "))
    for target in ("overlays/production", "overlays/canary", "apps"):
        done = spaces.sync(render(target, tree), "--dry-run=server")
        assert done.returncode == 0 and "Warning" not in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("target", "kind", "break_it"),
    [
        ("overlays/production", "Deployment", lambda d: d["spec"].update(replica=2)),
        ("overlays/production", "Service", lambda d: d["spec"]["ports"][0].update(protocol="ANY")),
        ("overlays/production", "NetworkPolicy", lambda d: d["spec"].update(policyTypes=["Both"])),
        ("overlays/canary", "Rollout", lambda d: d["spec"]["strategy"]["canary"].update(step=[])),
        ("overlays/kserve", "InferenceService", lambda d: d["spec"].update(predict={})),
        ("apps", "Application", lambda d: d["spec"]["syncPolicy"].update(auto=True)),
    ],
)
def test_the_api_refuses_what_is_wrong(spaces, target, kind, break_it):
    """An API that takes all would prove nothing."""
    document = copy.deepcopy(next(d for d in rendered(target) if d["kind"] == kind))
    break_it(document)
    assert spaces.sync([document], "--dry-run=server").returncode != 0


def templates():
    """Every pod template: of each overlay, of Argo CD, of Argo Rollouts."""
    for target in (*OVERLAYS, "argocd", "argo-rollouts"):
        for document in rendered(target):
            if pod(document) and document["kind"] != "ClusterServingRuntime":
                yield pytest.param(target, document, id=f"{target}-{name(document)}")


def as_pod(document: dict) -> dict:
    metadata = {"name": "a-pod", "namespace": document["metadata"]["namespace"]}
    if labels := document["spec"]["template"]["metadata"].get("labels"):
        metadata["labels"] = labels
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod(document)}


@pytest.mark.parametrize(("target", "document"), list(templates()))
def test_the_namespace_admits_the_pod(spaces, target, document):
    """A Deployment is taken whatever its pods are; only the pod itself meets the standard's gate."""
    made = as_pod(copy.deepcopy(document))
    account = made["spec"].get("serviceAccountName", "default")
    if account != "default" and not spaces.get("serviceaccount", "-n", made["metadata"]["namespace"], account):
        spaces.sync([find(rendered(target), "ServiceAccount", account)])
    done = spaces.ask("create", "--dry-run=server", "-f", "-", stdin=json.dumps(made))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "break_it",
    [
        lambda spec: spec["containers"][0]["securityContext"].update(allowPrivilegeEscalation=True),
        lambda spec: spec["containers"][0]["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
        lambda spec: spec["securityContext"].pop("seccompProfile"),
        lambda spec: spec["securityContext"].update(runAsNonRoot=False),
        lambda spec: spec.update(hostNetwork=True),
    ],
    ids=["escalation", "capability", "seccomp", "root", "host network"],
)
def test_the_namespace_refuses_a_pod_that_is_not_restricted(spaces, break_it):
    made = as_pod(copy.deepcopy(find(rendered("overlays/production"), "Deployment")))
    spaces.sync([find(rendered("overlays/production"), "ServiceAccount")])
    break_it(made["spec"])
    done = spaces.ask("create", "--dry-run=server", "-f", "-", stdin=json.dumps(made))
    assert done.returncode != 0 and "violates PodSecurity" in done.stderr


def test_a_quota_admits_the_pods(spaces):
    """Under a quota each container has to name what it asks for and what it is limited to."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": "modelship"},
        "spec": {"hard": {"requests.cpu": "2", "requests.memory": "2Gi", "limits.cpu": "8", "limits.memory": "4Gi"}},
    }
    production = rendered("overlays/production")
    spaces.sync([quota, find(production, "ServiceAccount")])
    spaces.until(
        "the quota is counted",
        lambda: spaces.get("resourcequota", "-n", "modelship", "small").get("status", {}).get("used"),
    )
    try:
        for document in (find(production, "Deployment"), find(production, "Job")):
            made = as_pod(copy.deepcopy(document))
            done = spaces.ask("create", "--dry-run=server", "-f", "-", stdin=json.dumps(made))
            assert done.returncode == 0, done.stderr
            made["spec"]["containers"][0].pop("resources")
            done = spaces.ask("create", "--dry-run=server", "-f", "-", stdin=json.dumps(made))
            assert done.returncode != 0 and "must specify" in done.stderr
    finally:
        spaces.kubectl("delete", "resourcequota", "-n", "modelship", "small")


def test_the_pull_secret_is_of_the_type_that_is_checked(spaces):
    """The API looks into a secret of that type, so a broken one is refused when it is made."""
    metadata = {"name": "try", "namespace": "modelship"}
    secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "metadata": metadata}
    good = json.dumps({"auths": {"ghcr.io": {"username": "ada", "password": "x"}}})
    for content, status in (({".dockerconfigjson": good}, 0), ({".dockerconfigjson": "not JSON"}, 1), ({"a": "b"}, 1)):
        done = spaces.sync([secret | {"stringData": content}], "--dry-run=server")
        assert done.returncode == status, done.stderr
