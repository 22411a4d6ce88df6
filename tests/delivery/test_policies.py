"""The policies hold for every target, and each catches the manifest that breaks it."""

import copy

import pytest

import policies
from manifests import TARGETS, containers, find, name, pod, rendered

pytestmark = pytest.mark.needs("kustomize", "go")


@pytest.mark.parametrize("target", TARGETS)
def test_policies_hold(target):
    documents = list(rendered(target))
    broken = [f"{title}: {sentence}" for title, check in policies.POLICIES.items() for sentence in check(documents)]
    assert not broken, "\n".join(broken)


def test_node_ports_are_unique_over_the_whole_tree():
    """What runs side by side: one overlay, Argo CD, Argo Rollouts."""
    documents = [d for t in ("argocd", "argo-rollouts", "overlays/canary") for d in rendered(t)]
    assert not list(policies.node_ports_are_explicit_and_unique(documents))
    ports = {
        port["nodePort"]
        for service in documents
        if service["kind"] == "Service"
        for port in service["spec"].get("ports", [])
        if "nodePort" in port
    }
    assert ports == {32199, 30081}


def deployment(documents):
    return find(documents, "Deployment", "modelship")


def service(documents):
    return find(documents, "Service", "modelship")


def server(documents):
    return containers(deployment(documents))[0]


def app(documents, name="modelship"):
    return find(documents, "Application", name)


def argocd_port(**change):
    return lambda d: find(d, "Service", "argocd-server")["spec"]["ports"][0].update(change)


def add_port(documents):
    """What a strategic-merge patch leaves behind: upstream's plain-HTTP port."""
    ports = find(documents, "Service", "argocd-server")["spec"]["ports"]
    ports.append({"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"})


def drop(where, key):
    return lambda documents: where(documents).pop(key)


def security(**change):
    return lambda documents: server(documents)["securityContext"].update(change)


def spec(**change):
    return lambda documents: deployment(documents)["spec"].update(change)


def pod_spec(**change):
    return lambda documents: pod(deployment(documents)).update(change)


def sync_policy(**change):
    return lambda documents: app(documents)["spec"]["syncPolicy"].update(change)


def budget(documents):
    documents.append({
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "modelship", "namespace": "modelship"},
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": {"app.kubernetes.io/name": "modelship"}},
        },
    })  # fmt: skip


def remove(kind, name):
    return lambda documents: documents.remove(find(documents, kind, name))


def secret_in_clear(documents):
    metadata = {"name": "ghcr-pull", "namespace": "modelship"}
    documents.append({"kind": "Secret", "metadata": metadata, "stringData": {"a": "b"}})


def ignore_replicas(documents):
    app(documents)["spec"]["ignoreDifferences"] = [{"jsonPointers": ["/spec/replicas"]}]


def add_env(**change):
    def mutate(documents):
        next(e for e in server(documents)["env"] if e["name"] == "MODELSHIP_IMAGE").update(change)

    return mutate


def settings_map(documents):
    return next(d for d in documents if name(d).startswith("ConfigMap/modelship-settings"))


def metadata(documents, kind, name):
    return find(documents, kind, name)["metadata"]


P, A, C, K, M, S, N, G = (
    "overlays/production", "apps", "overlays/canary", "overlays/kserve",
    "overlays/multi-node", "overlays/autoscaled", "namespaces", "argocd",
)  # fmt: skip

# The policy, the target, and the change that must break it: each pitfall at least once.
MUTATIONS = [
    ("node_ports_are_explicit_and_unique", P, lambda d: service(d)["spec"]["ports"][0].pop("nodePort")),
    ("node_ports_are_explicit_and_unique", G, add_port),
    ("node_ports_are_explicit_and_unique", G, lambda d: d.append(copy.deepcopy(find(d, "Service", "argocd-server")))),
    ("node_ports_are_explicit_and_unique", G, drop(lambda d: find(d, "Service", "argocd-server")["spec"]["ports"][0], "protocol")),
    ("node_ports_stay", P, lambda d: service(d)["spec"]["ports"][0].update(nodePort=32198)),
    ("node_ports_stay", P, lambda d: service(d)["spec"].update(externalTrafficPolicy="Cluster")),
    ("node_ports_stay", G, argocd_port(nodePort=30082)),
    ("argo_cd_speaks_tls_alone", G, argocd_port(port=80)),
    ("argo_cd_speaks_tls_alone", G, lambda d: find(d, "ConfigMap", "argocd-cmd-params-cm").update(data={"server.insecure": "true"})),
    ("pods_meet_the_restricted_standard", P, security(allowPrivilegeEscalation=True)),
    ("pods_meet_the_restricted_standard", P, security(capabilities={})),
    ("pods_meet_the_restricted_standard", P, security(capabilities={"drop": ["ALL"], "add": ["SYS_ADMIN"]})),
    ("pods_meet_the_restricted_standard", P, security(privileged=True)),
    ("pods_meet_the_restricted_standard", P, security(runAsUser=0)),
    ("pods_meet_the_restricted_standard", P, lambda d: pod(deployment(d))["securityContext"].pop("seccompProfile")),
    ("pods_meet_the_restricted_standard", P, pod_spec(hostNetwork=True)),
    ("pods_meet_the_restricted_standard", P, pod_spec(volumes=[{"name": "v", "hostPath": {"path": "/"}}])),
    ("pods_meet_the_restricted_standard", P, lambda d: server(d)["ports"][0].update(hostPort=8080)),
    ("pods_meet_the_restricted_standard", C, lambda d: containers(find(d, "Rollout"))[0].pop("securityContext")),
    ("pods_meet_the_restricted_standard", K, lambda d: containers(find(d, "ClusterServingRuntime"))[0].pop("securityContext")),
    ("pods_are_locked_down", P, security(readOnlyRootFilesystem=False)),
    ("pods_are_locked_down", P, pod_spec(automountServiceAccountToken=True)),
    ("pods_are_locked_down", P, pod_spec(enableServiceLinks=True)),
    ("pods_are_locked_down", K, lambda d: find(d, "InferenceService")["spec"]["predictor"].pop("automountServiceAccountToken")),
    ("resources_are_set", P, drop(server, "resources")),
    ("resources_are_set", P, lambda d: server(d)["resources"]["limits"].pop("memory")),
    ("probes_ask_the_right_question", P, drop(server, "readinessProbe")),
    ("probes_ask_the_right_question", P, lambda d: server(d)["livenessProbe"]["httpGet"].update(path="/readyz")),
    ("probes_ask_the_right_question", K, lambda d: containers(find(d, "ClusterServingRuntime"))[0].pop("startupProbe")),
    ("images_are_pinned_by_tag_and_digest", P, lambda d: server(d).update(image=server(d)["image"].split("@")[0])),
    ("images_are_pinned_by_tag_and_digest", P, lambda d: server(d).update(image="example.org/other:1@sha256:" + "0" * 64)),
    ("the_card_names_the_image", P, add_env(value="another")),
    ("the_card_names_the_image", P, drop(server, "env")),
    ("the_pull_secret_agrees", P, pod_spec(imagePullSecrets=[{"name": "another"}])),
    ("the_pull_secret_agrees", K, drop(lambda d: find(d, "ClusterServingRuntime")["spec"], "imagePullSecrets")),
    ("no_secret_is_in_git", P, secret_in_clear),
    ("a_rollout_loses_nothing", P, lambda d: deployment(d)["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1)),
    ("a_rollout_loses_nothing", P, spec(minReadySeconds=0)),
    ("a_rollout_loses_nothing", P, spec(progressDeadlineSeconds=0)),
    ("a_rollout_loses_nothing", C, lambda d: find(d, "Rollout")["spec"]["strategy"]["canary"].pop("maxUnavailable")),
    ("there_is_time_to_drain", P, pod_spec(terminationGracePeriodSeconds=35)),
    ("there_is_time_to_drain", P, lambda d: settings_map(d)["data"].update(MODELSHIP_DRAIN_TIMEOUT="60s")),
    ("there_is_time_to_drain", K, lambda d: find(d, "InferenceService")["spec"]["predictor"].pop("terminationGracePeriodSeconds")),
    ("disruption_budgets_let_nodes_drain", P, budget),
    ("disruption_budgets_let_nodes_drain", M, lambda d: find(d, "PodDisruptionBudget")["spec"].update(maxUnavailable=0)),
    ("disruption_budgets_let_nodes_drain", M, lambda d: pod(deployment(d)).pop("topologySpreadConstraints")),
    ("an_autoscaler_owns_the_replicas", S, spec(replicas=2)),
    ("configuration_rolls_the_pods", P, lambda d: server(d)["envFrom"][0]["configMapRef"].update(name="modelship-settings")),
    ("applications_heal_themselves", A, sync_policy(automated={"prune": True, "selfHeal": False, "allowEmpty": False})),
    ("applications_heal_themselves", A, lambda d: app(d)["spec"]["syncPolicy"].pop("retry")),
    ("applications_heal_themselves", A, lambda d: app(d)["spec"]["syncPolicy"]["retry"].pop("refresh")),
    ("applications_heal_themselves", A, lambda d: app(d, "argocd")["spec"]["syncPolicy"]["syncOptions"].remove("ServerSideApply=true")),
    ("applications_heal_themselves", A, lambda d: app(d)["spec"]["syncPolicy"]["syncOptions"].remove("PruneLast=true")),
    ("applications_heal_themselves", A, ignore_replicas),
    ("applications_heal_themselves", A, lambda d: app(d, "root")["spec"]["syncPolicy"]["syncOptions"].remove("ServerSideApply=true")),
    ("a_degraded_service_keeps_no_mending_out", A, lambda d: app(d, "root")["metadata"]["annotations"].update({"argocd.argoproj.io/sync-wave": "0"})),
    ("a_degraded_service_keeps_no_mending_out", A, lambda d: app(d, "argocd")["metadata"]["annotations"].update({"argocd.argoproj.io/sync-wave": "2"})),
    ("deleting_an_application_deletes_nothing", A, lambda d: app(d)["metadata"].update(finalizers=["resources-finalizer.argocd.argoproj.io"])),
    ("deleting_an_application_deletes_nothing", N, lambda d: metadata(d, "Namespace", "modelship").pop("annotations")),
    ("namespaces_enforce_the_restricted_standard", N, lambda d: metadata(d, "Namespace", "modelship").pop("labels")),
    ("applications_name_what_settings_name", A, lambda d: app(d)["spec"]["source"].update(repoURL="https://example.org/x.git")),
    ("applications_name_what_settings_name", A, lambda d: app(d)["spec"]["source"].update(path="elsewhere/apps")),
    ("applications_name_what_settings_name", A, lambda d: app(d)["spec"].update(project="default")),
    ("applications_name_what_settings_name", A, lambda d: app(d)["spec"]["destination"].update(namespace="kube-system")),
    ("the_network_is_closed", P, remove("NetworkPolicy", "default-deny")),
    ("the_network_is_closed", P, remove("NetworkPolicy", "modelship")),
    ("services_reach_pods", P, lambda d: service(d)["spec"].update(selector={"app": "modelship"})),
    ("services_reach_pods", P, lambda d: service(d)["spec"]["ports"][0].update(targetPort="https")),
    ("services_reach_pods", C, lambda d: find(d, "ServiceMonitor")["spec"]["selector"].update(matchLabels={"a": "b"})),
    ("each_sync_is_verified", P, remove("Job", "modelship-verify")),
    ("each_sync_is_verified", P, lambda d: containers(find(d, "Job"))[0].update(args=["probe", "http://modelship"])),
    ("each_sync_is_verified", P, lambda d: metadata(d, "Job", "modelship-verify")["annotations"].pop("argocd.argoproj.io/hook-delete-policy")),
    ("everything_is_in_its_namespace", P, lambda d: service(d)["metadata"].pop("namespace")),
    ("everything_is_in_its_namespace", K, lambda d: find(d, "ClusterServingRuntime")["metadata"].update(namespace="modelship")),
    ("no_placeholder_is_left", A, lambda d: app(d)["spec"]["source"].update(targetRevision="GITOPS_BRANCH")),
    ("no_placeholder_is_left", P, lambda d: server(d).update(image="modelship:1@sha256:0")),
]  # fmt: skip


@pytest.mark.parametrize(("title", "target", "mutate"), MUTATIONS, ids=[f"{m[0]}-{i}" for i, m in enumerate(MUTATIONS)])
def test_a_broken_manifest_is_caught(title, target, mutate):
    documents = copy.deepcopy(list(rendered(target)))
    mutate(documents)
    assert list(policies.POLICIES[title](documents)), f"{title} lets it pass"


def test_every_policy_has_a_mutation():
    assert {title for title, _, _ in MUTATIONS} == set(policies.POLICIES)
