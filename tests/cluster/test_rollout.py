"""What the controllers make of a release: the pods that there are while one comes, goes, or fails."""

import json

import pytest

from manifests import render


def documents(tree, overlay="production") -> list[dict]:
    rendered = render(f"overlays/{overlay}", tree.folder / "gitops")
    return [d for d in rendered if "argocd.argoproj.io/hook" not in d["metadata"].get("annotations", {})]


def sync(cluster, tree, overlay="production") -> None:
    done = cluster.sync(documents(tree, overlay))
    assert done.returncode == 0, done.stderr


def deployment(cluster) -> dict:
    return cluster.get("deployment", "-n", "modelship", "modelship")


def image(cluster) -> str:
    return deployment(cluster)["spec"]["template"]["spec"]["containers"][0]["image"]


def pods(cluster) -> dict[str, list[dict]]:
    """The pods that are not on their way out, by image."""
    found: dict[str, list[dict]] = {}
    for pod in cluster.get("pods", "-n", "modelship", "-l", "app.kubernetes.io/name=modelship")["items"]:
        if not pod["metadata"].get("deletionTimestamp"):
            found.setdefault(pod["spec"]["containers"][0]["image"], []).append(pod)
    return found


def settled(cluster, replicas=1) -> bool:
    status = deployment(cluster).get("status", {})
    keys = ("replicas", "updatedReplicas", "availableReplicas")
    current = status.get("observedGeneration") == deployment(cluster)["metadata"]["generation"]
    return current and all(status.get(key) == replicas for key in keys) and not status.get("unavailableReplicas")


def release(tree, number: int) -> None:
    """What scripts/bump-image writes, in short."""
    tree.edit("release/kustomization.yaml", r"(?m)newTag: .*$", f"newTag: release-{number}")
    tree.edit("release/kustomization.yaml", r"(?m)digest: .*$", f"digest: sha256:{number:064x}")


@pytest.fixture
def running(kubelet, tree):
    """The first release, rolled out."""
    cluster = kubelet.cluster
    assert cluster.sync(render("namespaces", tree.folder / "gitops")).returncode == 0
    # Quick, so that a test need not wait for minutes.
    tree.edit("base/deployment.yaml", "minReadySeconds: 5", "minReadySeconds: 1")
    tree.edit("base/deployment.yaml", "progressDeadlineSeconds: 180", "progressDeadlineSeconds: 8")
    release(tree, 1)
    sync(cluster, tree)
    cluster.until("the first release", lambda: settled(cluster))
    return cluster


def test_a_release_rolls_out_and_a_setting_rolls_the_pods(running, tree):
    first = image(running)
    release(tree, 2)
    sync(running, tree)
    running.until("the second release", lambda: settled(running) and first not in pods(running))
    before = {pod["metadata"]["name"] for pod in pods(running)[image(running)]}
    tree.edit("base/modelship.env", "MODELSHIP_DRAIN_TIMEOUT=30s", "MODELSHIP_DRAIN_TIMEOUT=29s")
    sync(running, tree)

    def rolled():
        now = {pod["metadata"]["name"] for pod in pods(running).get(image(running), [])}
        return settled(running) and now and not now & before

    running.until("pods with the new setting", rolled)


def test_a_release_that_cannot_prove_itself_takes_nothing_away(running, tree, kubelet):
    """The old pod stays, the roll-out is reported, and the way back is the old manifest."""
    good = image(running)
    serving = pods(running)[good][0]["metadata"]["name"]
    release(tree, 2)
    kubelet.bad = {image_of(tree)}
    sync(running, tree)

    def reported():
        conditions = {c["type"]: c for c in deployment(running)["status"]["conditions"]}
        assert conditions["Available"]["status"] == "True"
        return conditions["Progressing"].get("reason") == "ProgressDeadlineExceeded"

    running.until("it is reported", reported)
    assert [pod["metadata"]["name"] for pod in pods(running)[good]] == [serving]
    assert deployment(running)["status"]["availableReplicas"] == 1
    endpoints = running.get("endpointslices", "-n", "modelship", "-l", "kubernetes.io/service-name=modelship")["items"]
    assert len(endpoints) == 1
    release(tree, 1)
    sync(running, tree)
    running.until("the bad pod is gone", lambda: settled(running) and set(pods(running)) == {good})
    assert [pod["metadata"]["name"] for pod in pods(running)[good]] == [serving]


def image_of(tree) -> str:
    found = next(d for d in documents(tree) if d["kind"] == "Deployment")
    return found["spec"]["template"]["spec"]["containers"][0]["image"]


def test_self_heal_takes_a_scaling_by_hand_back(running, tree):
    running.kubectl("scale", "-n", "modelship", "deployment/modelship", "--replicas=3")
    running.until("three", lambda: settled(running, 3))
    sync(running, tree)
    running.until("one again", lambda: settled(running, 1))


def test_the_autoscaler_keeps_its_number(running, tree):
    """Git names none in this overlay, so a sync takes nothing back."""
    sync(running, tree, "autoscaled")
    assert running.get("hpa", "-n", "modelship", "modelship")["spec"]["maxReplicas"] == 8
    running.kubectl("scale", "-n", "modelship", "deployment/modelship", "--replicas=5")
    sync(running, tree, "autoscaled")
    assert deployment(running)["spec"]["replicas"] == 5


def test_a_node_drains_one_pod_at_a_time(running, tree, kubelet):
    """With several pods the budget lets one go, and the next only when its successor is ready."""
    sync(running, tree, "multi-node")
    running.until("three", lambda: settled(running, 3))
    running.until(
        "the budget is counted",
        lambda: running.get("pdb", "-n", "modelship", "modelship").get("status", {}).get("disruptionsAllowed") == 1,
    )
    kubelet.paused = True
    one, two, _ = (pod["metadata"]["name"] for pod in pods(running)[image(running)])
    assert evict(running, one).returncode == 0
    refused = evict(running, two)
    assert refused.returncode != 0 and "disruption budget" in refused.stderr
    kubelet.paused = False
    running.until("the second may go", lambda: evict(running, two).returncode == 0)


def test_on_one_node_nothing_blocks_a_drain(running):
    assert evict(running, pods(running)[image(running)][0]["metadata"]["name"]).returncode == 0


def evict(cluster, name: str):
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "modelship"}}
    path = f"/api/v1/namespaces/modelship/pods/{name}/eviction"
    return cluster.ask("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
