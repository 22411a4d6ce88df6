"""scripts/doctor against a cluster's answers, a real registry that demands a login, and servers
on loopback: all is well, and each finding in its turn."""

import base64
import copy
import datetime
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import image
from manifests import ROOT, settings

pytestmark = pytest.mark.needs("docker-registry", "skopeo", "htpasswd", "openssl")

CARD = {
    "name": "linear",
    "version": "v1.1.0",
    "versions": ["v1.1.0"],
    "files": [{"path": "model.onnx", "sha256": "aa"}],
}
RELEASE = {"commit": "c" * 40, "models": [{k: v for k, v in CARD.items() if k != "versions"}]}

STUB = f"""#!{sys.executable}
import json, os, sys
answers = json.load(open(os.environ["ANSWERS"]))
found = [answer for words, answer in answers if set(words.split()) <= set(sys.argv[1:])]
if not found:
    sys.exit("Error from server (NotFound): no such thing")
print(json.dumps(found[0]))
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """With an image of nothing but a configuration in it."""
    registry = image.Registry(tmp_path_factory.mktemp("registry"))
    container = image.run("buildah", "from", "scratch")
    reference = f"{registry.host}/modelship:x"
    image.run("buildah", "commit", "--quiet", "--rm", container, reference)
    registry.skopeo("copy", "--quiet", "--dest-tls-verify=false",
                    f"containers-storage:{reference}", f"docker://{reference}")  # fmt: skip
    raw = registry.skopeo("inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{reference}")
    registry.reference = f"{registry.host}/modelship:x@{raw}"
    yield registry
    registry.close()


class Answers(BaseHTTPRequestHandler):
    """Answers each path as the server's table says: status, headers, body."""

    def do_GET(self):
        status, headers, body = self.server.table.get(self.path, (404, {}, ""))
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(table, certificate=None):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        server.table = table
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    image.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
              "-subj", "/CN=argocd", "-keyout", str(file) + ".key", "-out", str(file))  # fmt: skip
    file.write_text(file.read_text() + file.with_name(file.name + ".key").read_text())
    return file


def secret(registry, password, kind="kubernetes.io/dockerconfigjson", namespace="modelship"):
    login = {"auths": {registry.host: {"username": registry.user, "password": password}}}
    return {
        "metadata": {"name": "ghcr-pull", "namespace": namespace},
        "type": kind,
        "data": {".dockerconfigjson": base64.b64encode(json.dumps(login).encode()).decode()},
    }


def expiry(days, zone="UTC"):
    """In that many days and an hour; with an offset, half an hour less than that many days."""
    soon = datetime.timedelta(days=days, hours=1 if zone == "UTC" else -0.5)
    when = datetime.datetime.now(datetime.UTC) + soon
    if zone != "UTC":
        when = when.astimezone(datetime.datetime.strptime(zone, "%z").tzinfo)
    return when.strftime("%Y-%m-%d %H:%M:%S ") + zone


class World:
    """Everything that the doctor looks at, all well; a test spoils one thing."""

    def __init__(self, folder, registry, serve, certificate):
        self.folder, self.registry = folder, registry
        ready = [{"type": "Ready", "status": "True"}]
        self.node = {
            "status": {
                "conditions": ready,
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "nodeInfo": {"kubeletVersion": settings()["K3S_VERSION"]},
            }
        }
        self.app = {
            "metadata": {"name": "modelship"},
            "status": {"sync": {"status": "Synced"}, "health": {"status": "Healthy"}},
        }
        self.pod = {
            "metadata": {"name": "modelship-1"},
            "spec": {"containers": [{"image": registry.reference}]},
            "status": {"conditions": ready, "containerStatuses": [{"state": {"running": {}}}]},
        }
        self.secrets = [secret(registry, registry.password)]
        headers = {"X-OAuth-Scopes": "read:packages", "github-authentication-token-expiration": expiry(60)}
        self.github = serve({"/": (200, headers, "{}")})
        cards = json.dumps({"models": [copy.deepcopy(CARD)]})
        self.server = serve({"/readyz": (200, {}, "{}"), "/models": (200, {}, cards)})
        self.ui = serve({"/healthz": (200, {}, "ok")}, certificate)

    def ask(self):
        stub = self.folder / "bin/kubectl"
        stub.parent.mkdir()
        stub.write_text(STUB)
        stub.chmod(0o755)
        answers = [
            ("get nodes", {"items": [self.node]}),
            ("get applications.argoproj.io", {"items": [self.app] if self.app else []}),
            ("get pods", {"items": [self.pod] if self.pod else []}),
            ("get secrets", {"items": self.secrets}),
        ]
        (self.folder / "answers").write_text(json.dumps(answers))
        (self.folder / "release.json").write_text(json.dumps(RELEASE))
        tree = self.folder / "tree"
        (tree / "scripts").mkdir(parents=True)
        (tree / "scripts/doctor").write_text((ROOT / "scripts/doctor").read_text())
        (tree / "gitops/settings").mkdir(parents=True)
        env = (ROOT / "gitops/settings/settings.env").read_text()
        image_line = f"IMAGE={settings()['IMAGE']}"
        env = env.replace(image_line, f"IMAGE={self.registry.host}/modelship")
        (tree / "gitops/settings/settings.env").write_text(env)
        environment = os.environ | {
            "PATH": f"{stub.parent}:{os.environ['PATH']}",
            "ANSWERS": str(self.folder / "answers"),
        }
        done = subprocess.run(
            [sys.executable, str(tree / "scripts/doctor"), "--release", str(self.folder / "release.json"),
             "--service-port", str(self.server.server_port), "--ui-port", str(self.ui.server_port),
             "--github-api", f"http://127.0.0.1:{self.github.server_port}/"],
            env=environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert not done.stderr, done.stderr
        assert self.registry.password not in done.stdout
        return done


@pytest.fixture
def world(tmp_path, registry, serve, certificate):
    return World(tmp_path, registry, serve, certificate)


def test_all_is_well(world):
    done = world.ask()
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) == 10 and all(line.startswith("ok ") for line in lines)
    assert "expires in 60 days" in done.stdout


def test_a_service_that_speaks_tls_and_wants_a_key_is_well(world, serve, certificate):
    refused = (401, {}, '{"error":"show a key"}')
    world.server = serve({"/readyz": (200, {}, "{}"), "/models": refused}, certificate)
    done = world.ask()
    assert done.returncode == 0, done.stdout
    assert "ok   models: asks for a key" in done.stdout


def not_ready(world):
    world.node["status"]["conditions"][0] = {"type": "Ready", "status": "False"}


def older_k3s(world):
    world.node["status"]["nodeInfo"]["kubeletVersion"] = "v1.30.1+k3s1"


def app_degraded(world):
    world.app["status"]["health"]["status"] = "Degraded"
    world.app["status"]["operationState"] = {"message": "one or more objects failed"}


def verification_failed(world):
    """What the job after a sync found: all is applied and healthy, and yet it is not right."""
    world.app["status"]["operationState"] = {"phase": "Failed", "message": "job modelship-verify failed"}


def no_applications(world):
    world.app = None


def pull_fails(world):
    waiting = {"reason": "ImagePullBackOff", "message": "denied"}
    world.pod["status"]["containerStatuses"] = [{"state": {"waiting": waiting}}]


def no_secret(world):
    world.secrets = []


def secret_elsewhere(world):
    world.secrets[0]["metadata"]["namespace"] = "default"


def secret_type(world):
    world.secrets[0]["type"] = "Opaque"


def secret_registry(world):
    data = base64.b64encode(json.dumps({"auths": {"docker.io": {}}}).encode()).decode()
    world.secrets[0]["data"][".dockerconfigjson"] = data


def wrong_password(world):
    world.secrets = [secret(world.registry, "wrong")]


def no_such_digest(world):
    image = world.pod["spec"]["containers"][0]
    image["image"] = image["image"][:-4] + "0000"


def github(status=200, **headers):
    def spoil(world):
        _, old, body = world.github.table["/"]
        new = old | {key.replace("_", "-"): value for key, value in headers.items()}
        world.github.table["/"] = (status, new, body)

    return spoil


def service_not_ready(world):
    world.server.table["/readyz"] = (503, {}, '{"reason":"draining"}')


def ui_plain(world):
    world.ui.table.clear()


def card(**change):
    def spoil(world):
        world.server.table["/models"] = (200, {}, json.dumps({"models": [CARD | change]}))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "title", "state"),
    [
        (not_ready, "cluster", "0 of 1 nodes are ready"),
        (older_k3s, "cluster", "runs v1.30.1+k3s1, and git names"),
        (no_applications, "applications", "there is none"),
        (app_degraded, "applications", "Degraded (one or more objects failed)"),
        (verification_failed, "applications", "its last sync failed (job modelship-verify failed)"),
        (pull_fails, "pods", "ImagePullBackOff, denied"),
        (no_secret, "pull secret", "ghcr-pull is not in the namespace modelship"),
        (secret_elsewhere, "pull secret", "it is in default"),
        (secret_type, "pull secret", "is of type Opaque"),
        (secret_registry, "pull secret", "holds no login for 127.0.0.1"),
        (wrong_password, "pull", "the registry answers 401"),
        (no_such_digest, "pull", "the registry has no sha256:"),
        (github(401), "token", "GitHub knows it no more"),
        (github(X_OAuth_Scopes="repo"), "token", "lacks the scope read:packages"),
        (github(X_OAuth_Scopes="read:packages, repo"), "token", "may do more than pull: repo"),
        (github(github_authentication_token_expiration=expiry(3)), "token", "expires in 3 days"),
        # GitHub writes the owner's own time zone; 13 hours and a half tell it from UTC.
        (github(github_authentication_token_expiration=expiry(14, "+1330")), "token", "expires in 13 days"),
        (service_not_ready, "NodePort 32199", "draining"),
        (ui_plain, "NodePort 30081", "does not answer over TLS: 404"),
        (card(name="other"), "models", "linear is not served; other is served and is not in git"),
        (card(version="v1.0.0", versions=["v1.0.0"]), "models", "is served as v1.0.0, git has v1.1.0"),
        (card(files=[{"path": "model.onnx", "sha256": "bb"}]), "models", "another sha256"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_finding_is_named_with_a_remedy(world, spoil, title, state):
    spoil(world)
    done = world.ask()
    assert done.returncode == 1, done.stdout
    lines = done.stdout.splitlines()
    found = [n for n, line in enumerate(lines) if line.startswith(f"BAD  {title}:")]
    assert len(found) == 1, done.stdout
    assert state in lines[found[0]], done.stdout
    assert lines[found[0] + 1].startswith("     -> ") and len(lines[found[0] + 1]) > 12


def test_the_release_is_read_from_git_and_the_clone_stays_whole(tmp_path):
    """The newest commit of the gitops repository, without making a shallow clone of this one."""

    def git(*args, cwd):
        author = {
            f"GIT_{role}_{what}": "a@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        image.run("git", *args, cwd=cwd, env=os.environ | author)

    origin, clone = tmp_path / "origin", tmp_path / "clone"
    (origin / "scripts").mkdir(parents=True)
    (origin / "scripts/doctor").write_text((ROOT / "scripts/doctor").read_text())
    (origin / "gitops/settings").mkdir(parents=True)
    env = (ROOT / "gitops/settings/settings.env").read_text()
    url = origin.as_uri()
    (origin / "gitops/settings/settings.env").write_text(re.sub("(?m)^GITOPS_URL=.*$", f"GITOPS_URL={url}", env))
    (origin / "gitops/release").mkdir()
    held = origin / "gitops/release/release.json"
    held.write_text(json.dumps(RELEASE))
    git("init", "--quiet", "--initial-branch=main", cwd=origin)
    for message in ("One", "Two"):
        held.write_text(held.read_text() + "\n")
        git("add", ".", cwd=origin)
        git("commit", "--quiet", "-m", message, cwd=origin)
    git("clone", "--quiet", url, str(clone), cwd=tmp_path)
    newer = {"commit": "d" * 40, "models": [RELEASE["models"][0] | {"version": "v7.0.0"}]}
    held.write_text(json.dumps(newer))
    git("commit", "--quiet", "-am", "Three", cwd=origin)
    environment = os.environ | {"KUBECONFIG": str(tmp_path / "none")}
    ports = ("--host", "127.0.0.1", "--service-port", "1", "--ui-port", "1")
    done = subprocess.run(
        [sys.executable, str(clone / "scripts/doctor"), *ports],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert f"ok   release in git: linear v7.0.0, of commit dddddddddddd ({url} main)" in done.stdout, done.stdout
    assert not (clone / ".git/shallow").exists()
    image.run("git", "fsck", cwd=clone)


def test_a_program_that_does_not_end_is_ended(tmp_path):
    """With whatever it has started, which would hold its output open."""
    stub = tmp_path / "bin/kubectl"
    stub.parent.mkdir()
    stub.write_text("#!/bin/sh\nsleep 1000 &\nsleep 1000\n")
    stub.chmod(0o755)
    script = tmp_path / "scripts/doctor"
    script.parent.mkdir()
    script.write_text((ROOT / "scripts/doctor").read_text().replace("timeout=30", "timeout=0.5"))
    shutil.copytree(ROOT / "gitops/settings", tmp_path / "gitops/settings")
    (tmp_path / "release.json").write_text(json.dumps(RELEASE))
    done = subprocess.run(
        [sys.executable, str(script), "--host", "127.0.0.1", "--service-port", "1", "--ui-port", "1",
         "--release", str(tmp_path / "release.json")],
        env=os.environ | {"PATH": f"{stub.parent}:{os.environ['PATH']}"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1 and "kubectl gave no answer" in done.stdout, done.stdout


def test_the_runbooks_that_it_names_exist():
    headings = re.findall(r"^#+ (.+)$", (ROOT / "gitops/README.md").read_text(), re.M)
    named = re.findall(r"gitops/README.md, ([A-Z][A-Za-z0-9 ]+)", (ROOT / "scripts/doctor").read_text())
    assert len(named) > 3 and set(named) <= set(headings)
    runbooks = {
        "First install", "Token rotation", "Rollback", "A stuck sync", "Moving the NodePort",
        "Upgrading K3s", "Upgrading Argo CD", "Disaster recovery",
    }  # fmt: skip
    assert runbooks <= set(headings)


@pytest.mark.parametrize("path", [os.environ["PATH"], "/nowhere"], ids=["no cluster", "no tools"])
def test_with_nothing_there_every_line_is_said(tmp_path, path):
    """No traceback, a finding for each."""
    done = subprocess.run(
        [
            sys.executable, str(ROOT / "scripts/doctor"),
            "--host", "127.0.0.1", "--service-port", "1", "--ui-port", "1",
        ],
        env=os.environ | {"PATH": path, "KUBECONFIG": str(tmp_path / "none"), "GIT_TERMINAL_PROMPT": "0"},
        capture_output=True,
        text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 1 and not done.stderr
    assert done.stdout.count("BAD  ") == 10
