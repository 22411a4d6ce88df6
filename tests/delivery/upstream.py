"""What other projects publish and this one builds on: CRDs and install manifests.

They are read from the projects' Go modules, fetched by the `go` command (which checks each
against Go's checksum database) at the versions that gitops/ pins, so that the manifests are
held to the schemas of exactly what is deployed.
"""

import functools
import json
import re
import subprocess
import tempfile
import zipfile
from pathlib import Path

import yaml


class Loader(yaml.CSafeLoader):
    """YAML as Kubernetes reads it: a plain "=" is text."""


Loader.add_constructor("tag:yaml.org,2002:value", yaml.CSafeLoader.construct_yaml_str)

ROOT = Path(__file__).resolve().parents[2]

# Installed by the cluster's owner, not by gitops/: the oldest versions that the manifests are for.
OWNER_INSTALLED = {
    "github.com/prometheus-operator/prometheus-operator": "v0.94.0",
    "github.com/bitnami-labs/sealed-secrets": "v0.36.6",
    "github.com/kserve/kserve": "v0.17.0",
}

CRDS = {
    "github.com/argoproj/argo-cd/v3": "manifests/crds/",
    "github.com/argoproj/argo-rollouts": "manifests/crds/",
    "github.com/prometheus-operator/prometheus-operator": "example/prometheus-operator-crd/",
    "github.com/bitnami-labs/sealed-secrets": "helm/sealed-secrets/crds/",
    "github.com/kserve/kserve": "config/crd/full/",
}

# A remote resource in a kustomization, and where its like lies in the Go module: the install
# manifest that the project renders from that very folder at each release.
REMOTE = {
    "https://github.com/argoproj/argo-cd//manifests/cluster-install": (
        "github.com/argoproj/argo-cd/v3",
        "manifests/install.yaml",
    ),
    "https://github.com/argoproj/argo-rollouts//manifests/cluster-install": (
        "github.com/argoproj/argo-rollouts",
        "manifests/install.yaml",
    ),
}

REMOTE_LINE = re.compile(r"^(\s*- )(https://\S+)\?ref=(v[\w.]+)\s*$", re.M)


def pinned() -> dict[str, str]:
    """The version of each module: what the kustomizations name by ?ref=, and OWNER_INSTALLED."""
    versions = dict(OWNER_INSTALLED)
    for file in (ROOT / "gitops").rglob("kustomization.yaml"):
        for _, url, version in REMOTE_LINE.findall(file.read_text()):
            versions[REMOTE[url][0]] = version
    return versions


@functools.cache
def module(path: str) -> tuple[zipfile.ZipFile, str]:
    """The module's archive and the prefix of the names in it."""
    version = pinned()[path]
    with tempfile.TemporaryDirectory() as empty:
        run = subprocess.run(
            ["go", "mod", "download", "-json", f"{path}@{version}"],
            cwd=empty, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
    # The command complains where the module wants a newer Go; the archive is there all the same.
    answer = json.loads(run.stdout)
    if "Zip" not in answer:
        raise RuntimeError(f"go cannot download {path}@{version}: {answer.get('Error', run.stderr)}")
    return zipfile.ZipFile(answer["Zip"]), f"{path}@{version}/"


def text(path: str, name: str) -> str:
    archive, prefix = module(path)
    return archive.read(prefix + name).decode()


def crds() -> list[dict]:
    """Every CRD of those projects."""
    found = []
    for path, folder in CRDS.items():
        archive, prefix = module(path)
        for name in sorted(archive.namelist()):
            # Not those in folders below: parts of other products, and patches.
            below = name.removeprefix(prefix + folder)
            if below != name and "/" not in below and below.endswith(".yaml"):
                documents = yaml.load_all(archive.read(name), Loader)
                found += [d for d in documents if d and d.get("kind") == "CustomResourceDefinition"]
    return found


@functools.cache
def crd_schemas() -> dict[tuple[str, str], dict]:
    """(apiVersion, kind) -> the strict JSON schema of that custom resource."""
    schemas = {}
    for definition in crds():
        spec = definition["spec"]
        for version in spec["versions"]:
            key = (f"{spec['group']}/{version['name']}", spec["names"]["kind"])
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            schemas[key] = schema
    return schemas


def strict(schema: dict) -> dict:
    """A structural schema as JSON schema that refuses every field that it does not name."""
    if not isinstance(schema, dict):
        return schema
    schema = dict(schema)
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)
        schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    for key in ("properties",):
        if key in schema:
            schema[key] = {name: strict(value) for name, value in schema[key].items()}
            if not schema.get("x-kubernetes-preserve-unknown-fields"):
                schema.setdefault("additionalProperties", False)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            schema[key] = strict(schema[key])
    if schema.pop("nullable", False) and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    # Formats such as int64 and date-time are hints; patterns and enums hold.
    schema.pop("format", None)
    return schema
