"""scripts/seal-pull-secret with the real kubeseal: what it writes, the controller's key opens, and
it is the pull secret that the pods name."""

import base64
import json
import os
import shutil
import subprocess

import pytest
import yaml

from image import run
from manifests import GITOPS, ROOT, find, render
from test_render import schema_errors

pytestmark = pytest.mark.needs("kubeseal", "kustomize", "openssl")

TOKEN = "ghp_0123456789secret"


def test_the_secret_is_sealed_and_opens(tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(GITOPS, tree / "gitops")
    (tree / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/seal-pull-secret", tree / "scripts")
    key, certificate, token = tmp_path / "key", tmp_path / "certificate", tmp_path / "token"
    token.write_text(TOKEN + "\n")
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        "-subj", "/CN=sealed-secrets", "-keyout", str(key), "-out", str(certificate))  # fmt: skip
    output = run(
        str(tree / "scripts/seal-pull-secret"), "--user", "ada", "--token-file", str(token),
        "--certificate", str(certificate),
    )  # fmt: skip

    file = tree / "gitops/components/sealed-pull-secret/sealed.yaml"
    assert TOKEN not in output + file.read_text()
    overlay = tree / "gitops/overlays/production/kustomization.yaml"
    overlay.write_text(
        overlay.read_text().replace("# - ../../components/sealed-pull-secret", "- ../../components/sealed-pull-secret")
    )
    documents = render("overlays/production", tree / "gitops")
    sealed = find(documents, "SealedSecret")
    assert not schema_errors(sealed)
    pods = find(documents, "Deployment")["spec"]["template"]["spec"]["imagePullSecrets"]
    assert [secret["name"] for secret in pods] == [sealed["metadata"]["name"]]

    opened = subprocess.run(
        ["kubeseal", "--recovery-unseal", "--recovery-private-key", str(key)],
        input=yaml.safe_dump(sealed), capture_output=True, text=True, timeout=60,
        env=os.environ | {"KUBECONFIG": "/nowhere"},
    )  # fmt: skip
    assert opened.returncode == 0, opened.stderr
    secret = yaml.safe_load(opened.stdout)
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert (secret["metadata"]["name"], secret["metadata"]["namespace"]) == ("ghcr-pull", "modelship")
    login = json.loads(base64.b64decode(secret["data"][".dockerconfigjson"]))
    assert login == {"auths": {"ghcr.io": {"username": "ada", "password": TOKEN}}}
