"""settings.env is the one place: another value there is another value everywhere."""

import re
import shutil

import pytest

from manifests import GITOPS, OVERLAYS, containers, find, pod, render, settings

pytestmark = pytest.mark.needs("kustomize", "go")

OTHER = {
    "IMAGE": "registry.example.org:5000/team/modelship",
    "GITOPS_URL": "https://git.example.org/team/gitops.git",
    "GITOPS_BRANCH": "live",
    "GITOPS_PATH": "clusters/one",
    "OVERLAY": "multi-node",
    "PULL_SECRET": "registry-pull",
    "PROMETHEUS_URL": "http://prometheus.example.org:9090",
}


@pytest.fixture
def tree(tmp_path):
    shutil.copytree(GITOPS, tmp_path / "gitops")
    file = tmp_path / "gitops/settings/settings.env"
    text = file.read_text()
    for key, value in OTHER.items():
        text, count = re.subn(rf"^{key}=.*$", f"{key}={value}", text, flags=re.M)
        assert count == 1, key
    file.write_text(text)
    return tmp_path / "gitops"


def test_every_setting_is_tried_here():
    assert set(settings()) == {*OTHER, "SOURCE_URL", "K3S_VERSION"}


def test_the_applications_follow(tree):
    apps = [d for d in render("apps", tree) if d["kind"] == "Application"]
    assert len(apps) == 4
    for app in apps:
        source = app["spec"]["source"]
        assert (source["repoURL"], source["targetRevision"]) == (OTHER["GITOPS_URL"], "live")
        assert source["path"].startswith("clusters/one/")
    path = find(apps, "Application", "modelship")["spec"]["source"]["path"]
    assert path == "clusters/one/overlays/multi-node"


def test_the_tree_may_be_a_repository_s_root(tree):
    file = tree / "settings/settings.env"
    file.write_text(file.read_text().replace("GITOPS_PATH=clusters/one", "GITOPS_PATH=."))
    path = find(render("apps", tree), "Application", "modelship")["spec"]["source"]["path"]
    assert path == "./overlays/multi-node"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_pods_follow(tree, overlay):
    documents = render(overlay, tree)
    pods = [document for document in documents if pod(document)]
    assert pods
    for document in pods:
        assert [s["name"] for s in pod(document)["imagePullSecrets"]] == ["registry-pull"]
        for container in containers(document):
            # The registry's port is not taken for the tag.
            assert re.fullmatch(
                r"registry\.example\.org:5000/team/modelship:unreleased@sha256:0{64}", container["image"]
            )
            for variable in container.get("env", []):
                if variable["name"] == "MODELSHIP_IMAGE":
                    assert variable["value"] == container["image"]
    for template in (d for d in documents if d["kind"] == "AnalysisTemplate"):
        for metric in template["spec"]["metrics"]:
            assert metric["provider"]["prometheus"]["address"] == OTHER["PROMETHEUS_URL"]
