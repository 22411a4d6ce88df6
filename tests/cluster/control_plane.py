"""The real Kubernetes API on this machine, without a node: etcd, the API server, its controllers.

All are host processes on free ports of loopback, with their data in a folder of their own. There
is no kubelet: kubelet.py says of pods what a kubelet would.
"""

import json
import os
import secrets
import socket
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".tools/cluster"
PATIENCE = 90
# The API server's certificate is its own; both ends are on loopback.
UNCHECKED = ssl._create_unverified_context()


class NotReady(Exception):
    """What did not come up, with the end of its log."""


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class ControlPlane:
    """Started whole; `kubeconfig` is the administrator's."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self.processes: list[tuple[str, subprocess.Popen]] = []
        self.broken = ""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        etcd, peer, api, controllers = free_ports(4)
        token = secrets.token_hex(16)
        self.url, self.token = f"https://127.0.0.1:{api}", token
        (self.folder / "tokens").write_text(f'{token},admin,admin,"system:masters"\n')
        key = self.folder / "service-accounts.key"
        run("openssl", "genrsa", "-out", str(key), "2048")
        self.spawn(
            "etcd", "--data-dir", str(self.folder / "etcd"), "--log-level=error",
            # Nothing here has to outlive a power cut.
            "--unsafe-no-fsync",
            f"--listen-client-urls=http://127.0.0.1:{etcd}", f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}", f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
        )  # fmt: skip
        certificates = self.folder / "certificates"
        self.spawn(
            "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd}", f"--cert-dir={certificates}",
            "--bind-address=127.0.0.1", f"--secure-port={api}", "--endpoint-reconciler-type=none",
            "--authorization-mode=RBAC", f"--token-auth-file={self.folder / 'tokens'}",
            "--service-cluster-ip-range=10.43.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
        )  # fmt: skip
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "admin", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        }
        self.kubeconfig.write_text(json.dumps(config))
        self.until("the API server is ready", lambda: self.kubectl("get", "--raw=/readyz", check=False) == "ok")
        self.spawn(
            "kube-controller-manager", f"--kubeconfig={self.kubeconfig}", "--leader-elect=false",
            "--bind-address=127.0.0.1", f"--secure-port={controllers}", f"--cert-dir={self.folder / 'controllers'}",
            f"--service-account-private-key-file={key}", f"--root-ca-file={certificates / 'apiserver.crt'}",
        )  # fmt: skip
        self.until(
            "the controllers work",
            lambda: self.kubectl("get", "serviceaccount", "-n", "default", "default", "-o", "name", check=False),
        )

    def spawn(self, name: str, *arguments: str) -> None:
        log = (self.folder / f"{name}.log").open("w")
        # However these tests end, what they started ends too.
        command = ["setpriv", "--pdeathsig", "KILL", str(TOOLS / name), *arguments]
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        self.processes.append((name, process))

    def stop(self) -> None:
        for _, process in reversed(self.processes):
            process.kill()
        for _, process in self.processes:
            process.wait(30)

    # --- asking

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        done = self.ask(*arguments, stdin=stdin)
        assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    def ask(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess:
        return subprocess.run(
            [str(TOOLS / "kubectl"), *arguments],
            env=self.environment(), input=stdin, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    def environment(self) -> dict[str, str]:
        return os.environ | {"KUBECONFIG": str(self.kubeconfig), "PATH": f"{TOOLS}:{os.environ['PATH']}"}

    def get(self, *arguments: str) -> dict:
        """That object or list; nothing where it is not there."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json", "--ignore-not-found") or "{}")

    def call(self, method: str, path: str, body: dict | None = None) -> dict:
        """Without kubectl, for what is asked often."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/merge-patch+json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=30, context=UNCHECKED) as answer:
            return json.load(answer)

    def sync(self, documents: list[dict], *more: str) -> subprocess.CompletedProcess:
        """Applies as Argo CD does with ServerSideApply: its field manager, by force, strictly."""
        return self.ask(
            "apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "--validate=strict",
            *more, "-f", "-", stdin="\n---\n".join(json.dumps(document) for document in documents),
        )  # fmt: skip

    def until(self, what: str, question):
        """Asks until the answer is true, and gives it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            if answer := question():
                return answer
            for name, process in self.processes:
                if process.poll() is not None:
                    raise NotReady(f"{name} ended: {self.log(name)}")
            if self.broken:
                raise NotReady(self.broken)
            if time.monotonic() > deadline:
                raise NotReady(f"{what}: not within {PATIENCE} s; {self.log(self.processes[-1][0])}")
            time.sleep(0.2)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-2000:]


def started(folder: Path, attempts: int = 3) -> ControlPlane:
    """A control plane; again on other ports where somebody took one of ours in between."""
    for attempt in range(attempts):
        place = folder / f"attempt-{attempt}"
        place.mkdir()
        try:
            return ControlPlane(place)
        except NotReady as error:
            if "address already in use" not in str(error) or attempt == attempts - 1:
                raise
    raise AssertionError("unreachable")


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)
