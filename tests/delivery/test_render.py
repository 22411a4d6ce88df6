"""Every kustomization renders, and the API server would take what comes out."""

import copy
import shutil
import subprocess

import jsonschema
import kubernetes_validate
import pytest
import yaml

import policies
import upstream
from manifests import GITOPS, TARGETS, find, name, render, rendered, settings

pytestmark = pytest.mark.needs("kustomize", "go")


def kubernetes_version() -> str:
    return settings()["K3S_VERSION"].removeprefix("v").split("+")[0]


def schema_errors(document: dict) -> list[str]:
    """What is wrong with one manifest by the schemas of Kubernetes or of the CRD, strictly."""
    key = (document["apiVersion"], document["kind"])
    schema = upstream.crd_schemas().get(key)
    if schema is not None:
        return [
            f"{name(document)}: {error.json_path}: {error.message}"
            for error in jsonschema.Draft202012Validator(schema).iter_errors(document)
        ]
    try:
        kubernetes_validate.validate(document, kubernetes_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{name(document)}: {error.message}"]
    return []


@pytest.mark.parametrize("target", TARGETS)
def test_renders_and_validates(target):
    documents = rendered(target)
    assert documents
    errors = [
        error
        for document in documents
        if document["kind"] != "CustomResourceDefinition"
        for error in schema_errors(document)
    ]
    assert not errors, "\n".join(errors)


def test_no_kustomization_is_forgotten():
    """A folder with a kustomization is a target above, or a component or base of one."""
    reached = set(TARGETS)
    for file in GITOPS.rglob("kustomization.yaml"):
        folder = str(file.parent.relative_to(GITOPS))
        kind = yaml.safe_load(file.read_text())["kind"]
        assert folder in reached or kind == "Component" or folder == "base", (
            f"gitops/{folder} is rendered by no test: add it to TARGETS in manifests.py"
        )


@pytest.fixture
def all_in(tmp_path):
    """The tree with every comment taken away that an overlay or apps offers a component in."""
    tree = tmp_path / "gitops"
    shutil.copytree(GITOPS, tree)
    for file in (tree / "overlays/production", tree / "overlays/canary", tree / "apps"):
        file = file / "kustomization.yaml"
        file.write_text(file.read_text().replace("  # - ", "  - "))
    return tree


@pytest.mark.parametrize("overlay", ["production", "canary"])
def test_the_policies_hold_with_every_component(all_in, overlay):
    documents = render(f"overlays/{overlay}", all_in)
    broken = [f"{title}: {sentence}" for title, check in policies.POLICIES.items() for sentence in check(documents)]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(("overlay", "kind"), [("production", "Deployment"), ("canary", "Rollout")])
def test_tls_and_keys_reach_the_server_and_those_who_ask_it(all_in, overlay, kind):
    """The server reads both secrets, what asks it in clear asks the port of management, and no
    NodePort leads there."""
    documents = render(f"overlays/{overlay}", all_in)
    workload = find(documents, kind, "modelship")
    server = workload["spec"]["template"]["spec"]["containers"][0]
    folders = [mount["mountPath"] for mount in server["volumeMounts"]]
    environment = {variable["name"]: variable["value"] for variable in server["env"]}
    for setting in ("TLS_CERT", "TLS_KEY", "API_KEYS"):
        assert environment[f"MODELSHIP_{setting}"].rpartition("/")[0] in folders
    port = next(port for port in server["ports"] if port["name"] == "management")["containerPort"]
    assert environment["MODELSHIP_MANAGEMENT_LISTEN"] == f"0.0.0.0:{port}"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert server[probe]["httpGet"]["port"] == "management"

    job = find(documents, "Job", "modelship-verify")["spec"]["template"]["spec"]
    arguments = job["containers"][0]["args"]
    assert arguments[-1] == f"http://modelship-pods:{port}" and arguments[-3] == "--key-file"
    assert find(documents, "Service", "modelship-pods")["spec"]["ports"][0]["targetPort"] == "management"
    egress = find(documents, "NetworkPolicy", "modelship-verify")["spec"]["egress"]
    assert any(rule["ports"][0]["port"] == port for rule in egress)
    outer = find(documents, "Service", "modelship")["spec"]["ports"]
    assert [(p["targetPort"], p["appProtocol"]) for p in outer] == [("http", "https")]
    endpoint = find(documents, "ServiceMonitor")["spec"]["endpoints"][0]
    assert endpoint["authorization"]["credentials"] == {"name": "modelship-api-keys", "key": "metrics"}


def test_optional_components_render(all_in):
    """What production and apps offer in a comment works when the comment is taken away."""
    tree = all_in
    production = render("overlays/production", tree)
    kinds = {document["kind"] for document in production}
    assert {"ServiceMonitor", "PrometheusRule", "SealedSecret"} <= kinds
    canary = render("overlays/canary", tree)
    apps = render("apps", tree)
    find(apps, "Application", "argo-rollouts")
    errors = [e for document in production + canary + apps for e in schema_errors(document)]
    assert not errors, "\n".join(errors)


@pytest.mark.parametrize(
    ("target", "kind", "break_it"),
    [
        ("overlays/production", "Deployment", lambda d: d["spec"].update(replica=2)),
        ("overlays/production", "Service", lambda d: d["spec"]["ports"][0].update(nodeport=1)),
        ("overlays/canary", "Rollout", lambda d: d["spec"]["strategy"]["canary"].update(step=[])),
        ("overlays/canary", "ServiceMonitor", lambda d: d["spec"].update(endpoint=[])),
        ("overlays/canary", "PrometheusRule", lambda d: d["spec"]["groups"][0].update(rule=[])),
        ("overlays/kserve", "InferenceService", lambda d: d["spec"].update(predict={})),
        ("overlays/kserve", "ClusterServingRuntime", lambda d: d["spec"].update(image="x")),
        ("apps", "Application", lambda d: d["spec"]["syncPolicy"].update(auto=True)),
        ("apps", "AppProject", lambda d: d["spec"].update(sourceRepo="x")),
    ],
)
def test_the_schemas_are_strict(target, kind, break_it):
    """A misspelled key is caught in each kind: a validator that takes all proves nothing."""
    document = copy.deepcopy(next(d for d in rendered(target) if d["kind"] == kind))
    assert not schema_errors(document)
    break_it(document)
    assert schema_errors(document)


def test_remote_resources_are_pinned_to_a_tag():
    found = 0
    for file in GITOPS.rglob("kustomization.yaml"):
        for line in file.read_text().splitlines():
            if "://" in line and not line.lstrip().startswith("#"):
                assert upstream.REMOTE_LINE.match(line), f"{file}: {line.strip()} is not pinned by ?ref=v…"
                found += 1
    assert found == 2


def test_rendered_with_the_kustomize_that_argo_cd_carries():
    tools = upstream.text("github.com/argoproj/argo-cd/v3", "hack/tool-versions.sh")
    carried = next(line for line in tools.splitlines() if line.startswith("KUSTOMIZE_VERSION="))
    ours = subprocess.run(["kustomize", "version"], capture_output=True, text=True, check=True)
    minor = carried.split("=")[1].rsplit(".", 1)[0]
    assert ours.stdout.strip().removeprefix("v").startswith(minor + ".")
