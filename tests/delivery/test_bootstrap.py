"""scripts/bootstrap-k3s: the plan that --dry-run prints, and the real run against programs that
note how they were called. What a token must never do is shown in either."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from manifests import ROOT, settings

TOKEN = "ghp_0123456789secret"

# Notes its arguments and standard input, then does what little the script waits for.
STUB = """#!/usr/bin/env bash
printf '%s' "$(basename "$0")" >>"$NOTES"
printf ' %q' "$@" >>"$NOTES"
echo >>"$NOTES"
echo "${KUBECONFIG:-}" >>"$STATE/kubeconfigs"
case "$(basename "$0") $*" in
  "kubectl kustomize "*) exec kustomize build "$2" ;;
  "kubectl get secret "*--ignore-not-found*) cat "$STATE/type" 2>/dev/null || true ;;
  "kubectl get secret "*) [ -e "$STATE/secret" ] ;;
  "kubectl get service "*) [ -e "$STATE/traefik" ] ;;
  "kubectl get services "*) [ ! -e "$STATE/port-is-taken" ] || echo "32199 kube-system/traefik" ;;
  "kubectl apply "*" -f -")
    cat >"$STATE/input"
    cat "$STATE/input" >>"$STATE/inputs"
    if grep -q nodePort "$STATE/input" && [ -e "$STATE/port-is-taken" -o -e "$STATE/broken" ]; then exit 1; fi
    if grep -q dockerconfigjson "$STATE/input"; then touch "$STATE/secret"; fi ;;
  "curl "*)
    while [ $# -gt 1 ]; do [ "$1" != -o ] || out=$2; shift; done
    printf 'printf "#!/bin/sh\\necho k3s version $INSTALL_K3S_VERSION\\n" >%s/k3s; chmod +x %s/k3s\n' \\
      "$BIN" "$BIN" >"$out" ;;
  "id "*) echo 0 ;;
esac
"""


class Server:
    """A server's root folder, and stand-ins for the programs that the script calls."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.bin = folder / "bin"
        self.state = folder / "state"
        self.notes = folder / "notes"
        for path in (self.bin, self.state):
            path.mkdir()
        for name in ("kubectl", "curl", "systemctl", "apt-get", "id"):
            (self.bin / name).write_text(STUB)
            (self.bin / name).chmod(0o755)
        # The script beside settings that a person has filled in.
        self.tree = folder / "tree"
        shutil.copytree(ROOT / "gitops", self.tree / "gitops")
        (self.tree / "scripts").mkdir()
        shutil.copy(ROOT / "scripts/bootstrap-k3s", self.tree / "scripts")
        env = self.tree / "gitops/settings/settings.env"
        env.write_text(env.read_text().replace("OWNER", "ada"))
        self.token = folder / "token"
        self.token.write_text(TOKEN + "\n")

    def run(self, *args: str, tree: Path | None = None, kubeconfig: str = "") -> subprocess.CompletedProcess:
        environment = os.environ | {
            "KUBECONFIG": kubeconfig,
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "NOTES": str(self.notes),
            "STATE": str(self.state),
            "BIN": str(self.bin),
            "BOOTSTRAP_ROOT": str(self.folder / "root"),
        }
        return subprocess.run(
            [str((tree or self.tree) / "scripts/bootstrap-k3s"), "--user", "ada", *args],
            env=environment, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def calls(self) -> list[str]:
        return self.notes.read_text().splitlines()

    def position(self, start: str) -> int:
        found = [n for n, call in enumerate(self.calls()) if call.startswith(start)]
        assert found, f"never called: {start}\n" + "\n".join(self.calls())
        return found[0]


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path)


def test_the_dry_run_prints_every_step_and_does_none(server):
    run = server.run("--token-file", str(server.token), "--dry-run")
    assert run.returncode == 0, run.stderr
    steps = [
        "config.yaml",
        f"INSTALL_K3S_VERSION={settings()['K3S_VERSION']}",
        "kubectl wait --for=condition=Ready node",
        "-k gitops/namespaces",
        "NodePort 32199",
        "Secret modelship/ghcr-pull",
        "-k gitops/argocd",
        "rollout status -n argocd deployment/argocd-server",
        "-k gitops/apps",
    ]
    places = [run.stdout.index(step) for step in steps]
    assert places == sorted(places)
    assert TOKEN not in run.stdout + run.stderr
    assert not server.notes.exists() and not (server.folder / "root").exists()


def test_the_dry_run_needs_no_settings_and_no_token(server):
    """As it lies in the repository, for whoever wants to know what it would do."""
    run = server.run("--dry-run", tree=ROOT)
    assert run.returncode == 0, run.stderr


@pytest.mark.needs("kustomize")
def test_a_first_run(server):
    run = server.run("--token-file", str(server.token))
    assert run.returncode == 0, run.stdout + run.stderr
    # The port is claimed before Argo CD, and the namespaces are there before the secrets.
    order = [
        server.position("curl"),
        server.position("kubectl wait"),
        server.position(
            "kubectl apply --server-side --force-conflicts --field-manager=argocd-controller -k gitops/namespaces"
        ),
        server.position("kubectl kustomize gitops/overlays/production"),
        server.position(
            "kubectl apply --server-side --force-conflicts --field-manager=argocd-controller -k gitops/argocd"
        ),
        server.position(
            "kubectl apply --server-side --force-conflicts --field-manager=argocd-controller -k gitops/apps"
        ),
    ]
    assert order == sorted(order)
    installer = server.calls()[order[0]]
    assert "/k3s-io/k3s/v" in installer and "%2Bk3s" in installer
    config = (server.folder / "root/etc/rancher/k3s/config.yaml").read_text()
    assert "disable: [traefik, servicelb]" in config and "secrets-encryption: true" in config

    # What went in by standard input: the Service alone, then the secret.
    service, secret = (server.state / "inputs").read_text().split('{"apiVersion"', 1)
    assert service.count("kind: ") == 1 and "nodePort: 32199" in service
    secret = json.loads('{"apiVersion"' + secret)
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert secret["metadata"] == {"name": "ghcr-pull", "namespace": "modelship", "labels": {}}
    auths = json.loads(secret["stringData"][".dockerconfigjson"])["auths"]
    assert auths == {"ghcr.io": {"username": "ada", "password": TOKEN}}

    assert TOKEN not in run.stdout + run.stderr
    assert TOKEN not in server.notes.read_text()


@pytest.mark.needs("kustomize")
def test_a_second_run_changes_nothing_that_is_so(server):
    server.run("--token-file", str(server.token))
    server.notes.unlink()
    (server.state / "inputs").unlink()
    run = server.run()
    assert run.returncode == 0, run.stdout + run.stderr
    assert "installed already" in run.stdout and "there already" in run.stdout
    assert not any(call.startswith(("curl", "systemctl")) for call in server.calls())
    assert "dockerconfigjson" not in (server.state / "inputs").read_text()


@pytest.mark.needs("kustomize")
def test_traefik_waits_until_the_port_is_claimed(server):
    skip = server.folder / "root/var/lib/rancher/k3s/server/manifests/traefik.yaml.skip"
    stub = (server.bin / "kubectl").read_text().replace(
        'cat >"$STATE/input"', f'cat >"$STATE/input"; grep -q nodePort "$STATE/input" && ls {skip} >"$STATE/seen"'
    )  # fmt: skip
    (server.bin / "kubectl").write_text(stub)
    run = server.run("--token-file", str(server.token), "--with-traefik")
    assert run.returncode == 0, run.stdout + run.stderr
    assert (server.state / "seen").read_text().strip() == str(skip)
    assert not skip.exists()
    assert "disable" not in (server.folder / "root/etc/rancher/k3s/config.yaml").read_text()


@pytest.mark.needs("kustomize")
def test_a_taken_port_is_named(server):
    (server.state / "port-is-taken").touch()
    run = server.run("--token-file", str(server.token))
    assert run.returncode == 1
    assert "NodePort 32199 is taken, by kube-system/traefik" in run.stderr


@pytest.mark.needs("kustomize")
def test_another_failure_is_not_taken_for_a_port(server):
    (server.state / "broken").touch()
    run = server.run("--token-file", str(server.token))
    assert run.returncode == 1
    assert "is taken" not in run.stderr and "the Service can't be made" in run.stderr


@pytest.mark.needs("kustomize")
def test_the_caller_s_kubeconfig_is_for_an_existing_cluster_alone(server):
    """Whoever installs a server may have another cluster's in the environment."""
    assert server.run("--token-file", str(server.token), kubeconfig="/another").returncode == 0
    own = str(server.folder / "root/etc/rancher/k3s/k3s.yaml")
    assert set((server.state / "kubeconfigs").read_text().split()) == {own}
    (server.state / "kubeconfigs").unlink()
    assert server.run("--token-file", str(server.token), "--existing", kubeconfig="/another").returncode == 0
    assert set((server.state / "kubeconfigs").read_text().split()) == {"/another"}


@pytest.mark.needs("kustomize")
def test_secrets_alone_touch_nothing_else(server):
    """Token rotation: whatever this clone holds, the rest of the cluster stays as it is."""
    run = server.run("--token-file", str(server.token), "--secrets")
    assert run.returncode == 0, run.stdout + run.stderr
    changes = [call for call in server.calls() if not call.startswith(("kubectl get", "kubectl version"))]
    assert changes == ["kubectl apply --server-side --force-conflicts --field-manager=argocd-controller -f -"]
    assert "dockerconfigjson" in (server.state / "inputs").read_text()


@pytest.mark.needs("kustomize")
def test_a_secret_of_another_type_is_made_anew(server):
    """Its type can't be changed, so an apply alone would fail."""
    (server.state / "type").write_text("Opaque")
    run = server.run("--token-file", str(server.token), "--secrets")
    assert run.returncode == 0, run.stdout + run.stderr
    assert server.position("kubectl delete secret -n modelship ghcr-pull") < server.position("kubectl apply")


@pytest.mark.needs("kustomize")
def test_a_longer_version_is_not_the_same(server):
    """v1.36.5+k3s10 begins as v1.36.5+k3s1 does."""
    (server.bin / "k3s").write_text(f"#!/bin/sh\necho 'k3s version {settings()['K3S_VERSION']}0 (abc)'\n")
    (server.bin / "k3s").chmod(0o755)
    run = server.run("--token-file", str(server.token))
    assert run.returncode == 0 and "installed already" not in run.stdout
    assert server.position("curl") >= 0


@pytest.mark.needs("kustomize")
def test_the_repository_secret(server):
    run = server.run("--token-file", str(server.token), "--repository-token-file", str(server.token), "--existing")
    assert run.returncode == 0, run.stdout + run.stderr
    assert not any(call.startswith("curl") for call in server.calls())
    last = json.loads('{"apiVersion"' + (server.state / "inputs").read_text().split('{"apiVersion"')[-1])
    assert last["metadata"]["labels"] == {"argocd.argoproj.io/secret-type": "repository"}
    assert last["stringData"] == {
        "type": "git",
        "url": "https://github.com/ada/modelship.git",
        "username": "ada",
        "password": TOKEN,
    }
    assert TOKEN not in run.stdout + run.stderr + server.notes.read_text()


def test_wrong_use_is_named(server):
    assert "unknown argument" in server.run("--token", TOKEN).stderr
    server.token.write_text('a"b')
    run = server.run("--token-file", str(server.token))
    assert run.returncode == 1 and "that is no token" in run.stderr and 'a"b' not in run.stderr


def test_settings_that_are_not_filled_in_are_named(server):
    run = server.run("--token-file", str(server.token), tree=ROOT)
    assert run.returncode == 1 and "still says OWNER" in run.stderr
