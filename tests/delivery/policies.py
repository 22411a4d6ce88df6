"""What must hold of the rendered manifests. A policy takes the documents of one target and gives
a sentence for each thing that breaks it; test_policies.py runs all of them over every target,
and breaks each with a mutation."""

import re

from manifests import containers, name, pod, settings

POLICIES = {}

# Chart-less upstream installs, taken as they are but for patches: their own choices of resources
# and probes are not this project's.
UPSTREAM_NAMESPACES = ("argocd", "argo-rollouts")

NODE_PORTS = {"modelship": 32199, "argocd-server": 30081}


def policy(check):
    POLICIES[check.__name__] = check
    return check


def of(documents, *kinds):
    return [document for document in documents if document["kind"] in kinds]


def namespace(document):
    return document["metadata"].get("namespace")


def workloads(documents):
    return [document for document in documents if pod(document) is not None]


def ours(documents):
    return [d for d in workloads(documents) if namespace(d) not in UPSTREAM_NAMESPACES]


def servers(documents):
    return of(documents, "Deployment", "Rollout", "ClusterServingRuntime")


def template_labels(document):
    return document["spec"].get("template", {}).get("metadata", {}).get("labels", {})


def selects(selector, labels):
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def seconds(duration: str) -> int:
    return int(re.fullmatch(r"(\d+)s", duration)[1])


@policy
def node_ports_are_explicit_and_unique(documents):
    """Kubernetes gives a random NodePort to a port without one, and another on every cluster."""
    seen = {}
    for service in of(documents, "Service"):
        if service["spec"].get("type") not in ("NodePort", "LoadBalancer"):
            continue
        for port in service["spec"]["ports"]:
            number = port.get("nodePort")
            if number is None:
                yield f"{name(service)}: port {port['port']} has no nodePort"
            elif number in seen:
                yield f"{name(service)}: nodePort {number} is taken by {seen[number]}"
            seen[number] = name(service)
            if "protocol" not in port:
                yield f"{name(service)}: port {port['port']} has no protocol, so a patch may drop it"


@policy
def node_ports_stay(documents):
    """The addresses that people know: 32199 and 30081, each on one Service."""
    for service in of(documents, "Service"):
        want = NODE_PORTS.get(service["metadata"]["name"])
        if want is None:
            continue
        have = [port.get("nodePort") for port in service["spec"]["ports"]]
        if have != [want]:
            yield f"{name(service)}: nodePorts {have}, not {[want]}"
        if service["spec"].get("externalTrafficPolicy") != "Local":
            yield f"{name(service)}: externalTrafficPolicy is not Local, so the caller's address is lost"


@policy
def argo_cd_speaks_tls_alone(documents):
    """Plain HTTP would send the admin password in clear."""
    for service in of(documents, "Service"):
        if service["metadata"]["name"] == "argocd-server":
            for port in service["spec"]["ports"]:
                if port["port"] != 443:
                    yield f"{name(service)}: port {port['port']} is open"
    for config in of(documents, "ConfigMap"):
        if str((config.get("data") or {}).get("server.insecure", "false")).lower() != "false":
            yield f"{name(config)}: server.insecure is set"


@policy
def pods_meet_the_restricted_standard(documents):
    """The restricted Pod Security Standard, which the namespaces enforce."""
    for document in workloads(documents):
        spec = pod(document)
        outer = spec.get("securityContext") or {}
        for flag in ("hostNetwork", "hostPID", "hostIPC"):
            if spec.get(flag):
                yield f"{name(document)}: {flag}"
        for volume in spec.get("volumes") or []:
            kinds = set(volume) - {"name"}
            allowed = {
                "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image",
                "persistentVolumeClaim", "projected", "secret",
            }  # fmt: skip
            if not kinds <= allowed:
                yield f"{name(document)}: volume {volume['name']} is a {kinds}"
        for container in containers(document):
            where = f"{name(document)}, container {container['name']}"
            inner = container.get("securityContext") or {}
            both = {**outer, **inner}
            if inner.get("allowPrivilegeEscalation") is not False:
                yield f"{where}: allowPrivilegeEscalation is not false"
            if "ALL" not in (inner.get("capabilities") or {}).get("drop", []):
                yield f"{where}: capabilities are not dropped"
            if (inner.get("capabilities") or {}).get("add"):
                yield f"{where}: capabilities are added"
            if inner.get("privileged"):
                yield f"{where}: privileged"
            if both.get("runAsNonRoot") is not True or both.get("runAsUser") == 0:
                yield f"{where}: may run as root"
            if (both.get("seccompProfile") or {}).get("type") not in ("RuntimeDefault", "Localhost"):
                yield f"{where}: no seccomp profile"
            if any(port.get("hostPort") for port in container.get("ports") or []):
                yield f"{where}: hostPort"


@policy
def pods_are_locked_down(documents):
    """Beyond the standard: a root filesystem that cannot be written, no token, no service links."""
    for document in ours(documents):
        spec = pod(document)
        if document["kind"] != "ClusterServingRuntime":
            if spec.get("automountServiceAccountToken") is not False:
                yield f"{name(document)}: a service account's token is mounted"
            if spec.get("enableServiceLinks") is not False:
                yield f"{name(document)}: enableServiceLinks puts every Service in the environment"
        for container in containers(document):
            context = container.get("securityContext") or {}
            if context.get("readOnlyRootFilesystem") is not True:
                yield f"{name(document)}: the root filesystem can be written"
    for service in of(documents, "InferenceService"):
        if service["spec"]["predictor"].get("automountServiceAccountToken") is not False:
            yield f"{name(service)}: a service account's token is mounted"


@policy
def resources_are_set(documents):
    for document in ours(documents):
        for container in containers(document):
            resources = container.get("resources") or {}
            for side in ("requests", "limits"):
                for what in ("cpu", "memory"):
                    if what not in (resources.get(side) or {}):
                        yield f"{name(document)}: no {side} of {what}"


@policy
def probes_ask_the_right_question(documents):
    """Readiness and start-up ask whether the models are proved; liveness only whether it lives,
    since a liveness that fails while draining kills requests."""
    want = {"startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
    for document in servers(ours(documents)):
        for container in containers(document):
            for probe, path in want.items():
                have = (container.get(probe) or {}).get("httpGet", {}).get("path")
                if have != path:
                    yield f"{name(document)}: {probe} asks {have}, not {path}"


@policy
def images_are_pinned_by_tag_and_digest(documents):
    images = set()
    for document in ours(documents):
        for container in containers(document):
            image = container["image"]
            images.add(image)
            if not re.fullmatch(r"\S+:[\w.-]+@sha256:[0-9a-f]{64}", image):
                yield f"{name(document)}: image {image} has not both tag and digest"
            if not image.startswith(settings()["IMAGE"] + ":"):
                yield f"{name(document)}: image {image} is not the one that settings.env names"
    if len(images) > 1:
        yield f"several images: {sorted(images)}"


@policy
def the_card_names_the_image(documents):
    for document in of(documents, "Deployment", "Rollout"):
        for container in containers(document):
            env = {e["name"]: e.get("value") for e in container.get("env", [])}
            if "MODELSHIP_IMAGE" in env and env["MODELSHIP_IMAGE"] != container["image"]:
                yield f"{name(document)}: MODELSHIP_IMAGE is {env['MODELSHIP_IMAGE']}"
            if namespace(document) == "modelship" and "MODELSHIP_IMAGE" not in env:
                yield f"{name(document)}: no MODELSHIP_IMAGE"


@policy
def the_pull_secret_agrees(documents):
    """One name, in the namespace of the pods, of the type that the kubelet wants."""
    want = settings()["PULL_SECRET"]
    for document in ours(documents):
        have = [secret["name"] for secret in pod(document).get("imagePullSecrets") or []]
        if have != [want]:
            yield f"{name(document)}: imagePullSecrets {have}, not {[want]}"
    for sealed in of(documents, "SealedSecret"):
        template = sealed["spec"]["template"]
        if sealed["metadata"]["name"] != want or template["metadata"]["name"] != want:
            yield f"{name(sealed)}: not named {want}"
        if {namespace(sealed), template["metadata"].get("namespace")} != {"modelship"}:
            yield f"{name(sealed)}: not in the namespace modelship"
        if template.get("type") != "kubernetes.io/dockerconfigjson":
            yield f"{name(sealed)}: not of type kubernetes.io/dockerconfigjson"


@policy
def no_secret_is_in_git(documents):
    for secret in of(documents, "Secret"):
        # Upstream's install declares an empty one, which Argo CD fills.
        if secret.get("data") or secret.get("stringData"):
            yield f"{name(secret)}: a secret in clear"


@policy
def a_rollout_loses_nothing(documents):
    """A new pod proves itself before an old one goes, and a rollout that can't is reported."""
    for document in of(ours(documents), "Deployment", "Rollout"):
        spec = document["spec"]
        strategy = spec["strategy"]
        rolling = strategy.get("rollingUpdate") or strategy.get("canary") or {}
        if rolling.get("maxUnavailable") != 0 or rolling.get("maxSurge") != 1:
            yield f"{name(document)}: not maxUnavailable 0 and maxSurge 1"
        if spec.get("minReadySeconds", 0) < 1:
            yield f"{name(document)}: no minReadySeconds"
        if not 60 <= spec.get("progressDeadlineSeconds", 0) <= 600:
            yield f"{name(document)}: progressDeadlineSeconds is not one to ten minutes"
    for service in of(documents, "InferenceService"):
        rolling = service["spec"]["predictor"]["deploymentStrategy"]["rollingUpdate"]
        if rolling.get("maxUnavailable") != 0:
            yield f"{name(service)}: not maxUnavailable 0"


@policy
def there_is_time_to_drain(documents):
    """The grace period is longer than the server's own pause and drain together."""
    environment = {}
    for config in of(documents, "ConfigMap"):
        environment.update(config.get("data") or {})
    graces = {}
    for document in of(ours(documents), "Deployment", "Rollout", "ClusterServingRuntime"):
        for container in containers(document):
            environment.update({e["name"]: e.get("value") for e in container.get("env", [])})
        graces[name(document)] = pod(document).get("terminationGracePeriodSeconds")
    for service in of(documents, "InferenceService"):
        graces = {name(service): service["spec"]["predictor"].get("terminationGracePeriodSeconds")}
    for who, grace in graces.items():
        pause = seconds(environment["MODELSHIP_DRAIN_PAUSE"])
        needed = pause + seconds(environment["MODELSHIP_DRAIN_TIMEOUT"])
        if pause < 1 or (grace or 0) <= needed:
            yield f"{who}: a grace period of {grace} s for {needed} s of draining"


@policy
def disruption_budgets_let_nodes_drain(documents):
    """Only where there are several pods, spread over nodes: else a drain waits for ever."""
    for budget in of(documents, "PodDisruptionBudget"):
        spec = budget["spec"]
        if spec.get("maxUnavailable") in (None, 0, "0%"):
            yield f"{name(budget)}: not by maxUnavailable, at least one"
        for document in of(documents, "Deployment", "Rollout"):
            if not selects(spec["selector"]["matchLabels"], template_labels(document)):
                continue
            if document["spec"].get("replicas", 1) < 2:
                yield f"{name(budget)}: {name(document)} has one replica"
            if not pod(document).get("topologySpreadConstraints"):
                yield f"{name(budget)}: {name(document)} may have all its pods on one node"


@policy
def an_autoscaler_owns_the_replicas(documents):
    for scaler in of(documents, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        for document in of(documents, target["kind"]):
            if document["metadata"]["name"] == target["name"] and "replicas" in document["spec"]:
                yield f"{name(document)}: replicas are in git, so Argo CD undoes {name(scaler)}"


@policy
def configuration_rolls_the_pods(documents):
    """A ConfigMap that a pod uses has its content's hash in its name."""
    maps = {config["metadata"]["name"] for config in of(documents, "ConfigMap")}
    for document in ours(documents):
        used = [volume["configMap"]["name"] for volume in pod(document).get("volumes") or [] if "configMap" in volume]
        for container in containers(document):
            used += [e["configMapRef"]["name"] for e in container.get("envFrom") or [] if "configMapRef" in e]
        for config in used:
            if config not in maps or not re.search(r"-[0-9a-z]{10}$", config):
                yield f"{name(document)}: ConfigMap {config} is not a generated one"


@policy
def applications_heal_themselves(documents):
    for app in of(documents, "Application"):
        policy = app["spec"].get("syncPolicy") or {}
        if policy.get("automated") != {"prune": True, "selfHeal": True, "allowEmpty": False}:
            yield f"{name(app)}: automated is {policy.get('automated')}"
        retry = policy.get("retry") or {}
        if not retry.get("limit") or not retry.get("backoff"):
            yield f"{name(app)}: a revision that failed once is never tried again"
        if retry.get("refresh") is not True:
            yield f"{name(app)}: a retry tries the failed commit again, not the one that mends it"
        options = set(policy.get("syncOptions") or [])
        # By the server, as bootstrap-k3s does under the same name: so both own the same fields.
        needed = {"CreateNamespace=true", "PruneLast=true", "FailOnSharedResource=true", "ServerSideApply=true"}
        if app["spec"].get("ignoreDifferences"):
            needed.add("RespectIgnoreDifferences=true")
        for option in sorted(needed - options):
            yield f"{name(app)}: no {option}"


@policy
def a_degraded_service_keeps_no_mending_out(documents):
    """A sync ends at the first wave that is degraded, unless it is the last. The root Application
    is as healthy as the service, so both stand in the last."""
    waves = {
        document["metadata"]["name"]: int(document["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])
        for document in of(documents, "Application")
    }
    for app in {"root", "modelship"} & set(waves):
        if waves[app] != max(waves.values()):
            yield f"Application/{app}: in wave {waves[app]}, so others wait until it is healthy"


@policy
def deleting_an_application_deletes_nothing(documents):
    """A finalizer plus prune plus a namespace in git deletes secrets that were made by hand."""
    for app in of(documents, "Application"):
        if app["metadata"].get("finalizers"):
            yield f"{name(app)}: has finalizers"
    for space in of(documents, "Namespace"):
        options = space["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-options", "")
        if not {"Prune=false", "Delete=false"} <= set(options.split(",")):
            yield f"{name(space)}: may be pruned"


@policy
def namespaces_enforce_the_restricted_standard(documents):
    for space in of(documents, "Namespace"):
        labels = space["metadata"].get("labels", {})
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"{name(space)}: does not enforce the restricted standard"


@policy
def applications_name_what_settings_name(documents):
    want = settings()
    projects = {project["metadata"]["name"]: project["spec"] for project in of(documents, "AppProject")}
    for app in of(documents, "Application"):
        spec = app["spec"]
        source = spec["source"]
        if (source["repoURL"], source["targetRevision"]) != (want["GITOPS_URL"], want["GITOPS_BRANCH"]):
            yield f"{name(app)}: watches {source['repoURL']} {source['targetRevision']}"
        if not source["path"].startswith(want["GITOPS_PATH"] + "/"):
            yield f"{name(app)}: watches the folder {source['path']}"
        project = projects.get(spec["project"])
        if project is None:
            yield f"{name(app)}: no project {spec['project']}"
            continue
        if spec["source"]["repoURL"] not in project["sourceRepos"]:
            yield f"{name(app)}: its project does not allow {spec['source']['repoURL']}"
        allowed = {destination["namespace"] for destination in project["destinations"]}
        if not allowed & {"*", spec["destination"]["namespace"]}:
            yield f"{name(app)}: its project does not allow {spec['destination']['namespace']}"


@policy
def the_network_is_closed(documents):
    """In the service's namespace all is denied but what a policy allows, and every pod has one."""
    pods = [d for d in of(documents, "Deployment", "Rollout", "Job") if namespace(d) == "modelship"]
    policies = [p["spec"] for p in of(documents, "NetworkPolicy") if namespace(p) == "modelship"]
    if pods and not any(
        not p["podSelector"] and set(p["policyTypes"]) == {"Ingress", "Egress"} and not p.get("ingress")
        for p in policies
    ):
        yield "no NetworkPolicy denies by default"
    for document in pods:
        if not any(selects(p["podSelector"].get("matchLabels"), template_labels(document)) for p in policies):
            yield f"{name(document)}: no NetworkPolicy allows it anything"


@policy
def services_reach_pods(documents):
    """Every selector finds a pod, and every named port is one that the pod has."""
    pods = of(documents, "Deployment", "Rollout", "StatefulSet")
    for service in of(documents, "Service"):
        if namespace(service) in UPSTREAM_NAMESPACES:
            continue
        reached = [d for d in pods if selects(service["spec"].get("selector"), template_labels(d))]
        if not reached:
            yield f"{name(service)}: selects no pod"
        for document in reached:
            names = {p.get("name") for c in containers(document) for p in c.get("ports") or []}
            for port in service["spec"]["ports"]:
                if isinstance(port["targetPort"], str) and port["targetPort"] not in names:
                    yield f"{name(service)}: {name(document)} has no port {port['targetPort']}"
    for monitor in of(documents, "ServiceMonitor"):
        reached = [
            service
            for service in of(documents, "Service")
            if selects(monitor["spec"]["selector"]["matchLabels"], service["metadata"].get("labels", {}))
        ]
        if len(reached) != 1:
            yield f"{name(monitor)}: selects {len(reached)} Services"
        for service in reached:
            names = {port.get("name") for port in service["spec"]["ports"]}
            if any(endpoint["port"] not in names for endpoint in monitor["spec"]["endpoints"]):
                yield f"{name(monitor)}: a port that {name(service)} has not"


@policy
def each_sync_is_verified(documents):
    """After a sync every pod is asked whether it serves what git holds."""
    if not of(documents, "Deployment", "Rollout") or any(namespace(d) in UPSTREAM_NAMESPACES for d in documents):
        return
    hooks = [
        job
        for job in of(documents, "Job")
        if job["metadata"].get("annotations", {}).get("argocd.argoproj.io/hook") == "PostSync"
    ]
    if len(hooks) != 1:
        yield f"{len(hooks)} jobs run after a sync"
    headless = {
        service["metadata"]["name"]
        for service in of(documents, "Service")
        if service["spec"].get("clusterIP") == "None"
    }
    for job in hooks:
        if "argocd.argoproj.io/hook-delete-policy" not in job["metadata"]["annotations"]:
            yield f"{name(job)}: not deleted before the next sync, which then fails"
        args = containers(job)[0]["args"]
        if "--expect" not in args or not any(host in args[-1] for host in headless):
            yield f"{name(job)}: does not ask every pod for what git holds"


@policy
def everything_is_in_its_namespace(documents):
    cluster_wide = {
        "ClusterRole", "ClusterRoleBinding", "ClusterServingRuntime",
        "CustomResourceDefinition", "Namespace",
    }  # fmt: skip
    for document in documents:
        if document["kind"] in cluster_wide:
            if namespace(document):
                yield f"{name(document)}: is cluster-wide and has a namespace"
        elif namespace(document) not in ("modelship", *UPSTREAM_NAMESPACES):
            yield f"{name(document)}: in namespace {namespace(document)}"


@policy
def no_placeholder_is_left(documents):
    """A replacement that found nothing leaves the base's own word standing."""

    def texts(value):
        if isinstance(value, dict):
            for inner in value.values():
                yield from texts(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from texts(inner)
        elif isinstance(value, str):
            yield value

    for document in documents:
        if document["kind"] == "CustomResourceDefinition":
            continue
        for text in texts(document):
            if re.search(r"GITOPS_|set by the settings component|^OVERLAY$|/OVERLAY$|^modelship:[^:]+@sha256", text):
                yield f"{name(document)}: {text} was not replaced"
