"""Builds the image from the real Dockerfile where no other registry can be reached: with buildah,
and with base images made of Debian's own packages."""

import base64
import functools
import hashlib
import json
import os
import platform
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path

from manifests import ROOT

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

# What distroless's cc image consists of, no shell among it.
RUNTIME = "base-files,ca-certificates,libc6,libgcc-s1,libstdc++6,media-types,netbase,tzdata"
# The likes of python:slim, with what the Dockerfile would install there already inside.
PYTHON = "ca-certificates,locales,python3-minimal,python3-venv"


def run(*command, **kwargs) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, **kwargs)
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def suite() -> str:
    """The release of Debian or Ubuntu that this machine is of: the binary is made for its glibc."""
    return platform.freedesktop_os_release()["VERSION_CODENAME"]


@functools.cache
def base(kind: str) -> str:
    """The base image of that kind, made once on each machine."""
    variant, packages = {"runtime": ("extract", RUNTIME), "python": ("apt", PYTHON)}[kind]
    certificates = CERTIFICATES.read_bytes() if CERTIFICATES.exists() else b""
    recipe = f"2 {suite()} {variant} {packages}".encode() + certificates
    name = f"localhost/modelship-test-{kind}:{hashlib.sha256(recipe).hexdigest()[:16]}"
    if subprocess.run(["buildah", "inspect", "--type", "image", name], capture_output=True).returncode == 0:
        return name
    with tempfile.TemporaryDirectory() as scratch:
        tar = f"{scratch}/root.tar"
        # universe: Ubuntu's, where python3-venv lies.
        parts = "main,universe" if platform.freedesktop_os_release()["ID"] == "ubuntu" else "main"
        run(
            "mmdebstrap",
            f"--components={parts}",
            "--dpkgopt=force-unsafe-io",
            f"--variant={variant}",
            f"--include={packages}",
            suite(),
            tar,
        )
        container = run("buildah", "from", "scratch")
        run("buildah", "add", "--quiet", container, tar, "/")
        if kind == "python":
            # This machine's own certificates, should a proxy stand before the registries.
            run("buildah", "copy", "--quiet", container, str(CERTIFICATES), str(CERTIFICATES))
            run("buildah", "config", "--env", f"PIP_CERT={CERTIFICATES}", container)
        else:
            run("buildah", "config", "--user", "65532:65532", "--env", "SSL_CERT_FILE=" + str(CERTIFICATES), container)
        run("buildah", "commit", "--quiet", container, name)
        run("buildah", "rm", container)
    return name


@functools.cache
def binary() -> Path:
    """A folder with the release build of modelship."""
    subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "modelship"], cwd=ROOT, check=True)
    folder = ROOT / ".cache/delivery/binary"
    folder.mkdir(parents=True, exist_ok=True)
    built = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release/modelship"
    if not (folder / "modelship").exists() or (folder / "modelship").read_bytes() != built.read_bytes():
        shutil.copy(built, folder / "modelship")
    return folder


def build(source: Path, image: str, tag: str, *more: str, push=False, authfile: Path | None = None) -> str:
    """scripts/build-image in that clone; gives the digest."""
    # In a zone of its own: what an image says of time is in UTC.
    environment = os.environ | {"TZ": "Asia/Tokyo"}
    if authfile:
        environment["REGISTRY_AUTH_FILE"] = str(authfile)
    return run(
        str(source / "scripts/build-image"), "--engine", "buildah", "--image", image, "--tag", tag,
        "--binary", str(binary()), *(["--push"] if push else []), "--",
        "--build-arg", f"RUNTIME_BASE={base('runtime')}",
        "--build-arg", f"PYTHON_BASE={base('python')}",
        *more,
        cwd=source, env=environment,
    ).splitlines()[-1]  # fmt: skip


def forget(start: str) -> None:
    """Takes every image whose name starts so out of this machine's storage, with the layers that no
    other has; else each run would leave its images behind."""
    if shutil.which("buildah") is None:
        return
    listed = json.loads(run("buildah", "images", "--json") or "null") or []
    names = [name for image in listed for name in image.get("names") or [] if name.startswith(start)]
    # One is forgotten by all its names, and may be the parent of another.
    for name in names:
        subprocess.run(["buildah", "rmi", "--force", name], capture_output=True, timeout=120)


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(url: str, process: subprocess.Popen, seconds=30, **kwargs):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return urllib.request.urlopen(url, timeout=5, **kwargs)
        except OSError as error:
            if isinstance(error, urllib.error.HTTPError) and error.code in (401, 404):
                return error
            assert process.poll() is None, "it ended"
            assert time.monotonic() < deadline, f"{url} does not answer: {error}"
            time.sleep(0.05)


class Registry:
    """Debian's docker-registry on loopback, which demands a login."""

    def __init__(self, folder: Path):
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.user, self.password = "release", "correct-horse"
        hashed = run("htpasswd", "-Bbn", self.user, self.password)
        (folder / "htpasswd").write_text(hashed + "\n")
        config = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
            "http": {"addr": self.host},
            "auth": {"htpasswd": {"realm": "modelship", "path": str(folder / "htpasswd")}},
        }
        (folder / "config.yml").write_text(json.dumps(config))
        self.process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yml")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(f"http://{self.host}/v2/", self.process)
        self.authfile = folder / "auth.json"
        run("skopeo", "login", "--tls-verify=false", "--authfile", str(self.authfile),
            "--username", self.user, "--password-stdin", self.host, input=self.password)  # fmt: skip

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        forget(f"{self.host}/")

    def skopeo(self, *args: str) -> str:
        return run("skopeo", *args, env=os.environ | {"REGISTRY_AUTH_FILE": str(self.authfile)})

    def manifest(self, image: str, reference: str) -> dict:
        mark = "@" if reference.startswith("sha256:") else ":"
        name = f"docker://{self.host}/{image}{mark}{reference}"
        return json.loads(self.skopeo("inspect", "--raw", "--tls-verify=false", name))

    def config(self, image: str, reference: str) -> dict:
        mark = "@" if reference.startswith("sha256:") else ":"
        name = f"docker://{self.host}/{image}{mark}{reference}"
        return json.loads(self.skopeo("inspect", "--config", "--tls-verify=false", name))


@contextmanager
def container(reference: str, authfile: Path, *args: str, files: dict[str, Path] | None = None):
    """A running container of the image, as Kubernetes would run it: non-root, the root filesystem
    read-only, no capabilities, nothing inherited. Gives the URL and the process."""
    port = free_port()
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        oci = f"{scratch}/oci"
        run("skopeo", "copy", "--quiet", "--src-tls-verify=false", f"docker://{reference}", f"oci:{oci}:x",
            env=os.environ | {"REGISTRY_AUTH_FILE": str(authfile)})  # fmt: skip
        bundle = f"{scratch}/bundle"
        run("umoci", "unpack", "--image", f"{oci}:x", bundle)
        edit(Path(bundle) / "config.json", port, args, files or {})
        name = f"modelship-test-{port}"
        log = stack.enter_context(open(f"{scratch}/log", "w+"))
        process = subprocess.Popen(["runc", "run", "--bundle", bundle, name], stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}", process, log
        finally:
            subprocess.run(["runc", "kill", name, "KILL"], capture_output=True)
            process.wait(10)
            subprocess.run(["runc", "delete", "--force", name], capture_output=True)


def edit(file: Path, port: int, args, files) -> None:
    config = json.loads(file.read_text())
    process = config["process"]
    process["terminal"] = False
    assert (process["user"]["uid"], process["user"]["gid"]) == (65532, 65532)
    process["noNewPrivileges"] = True
    process["capabilities"] = {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted")}
    process["env"] = [e for e in process["env"] if not e.startswith("MODELSHIP_LISTEN=")]
    process["env"].append(f"MODELSHIP_LISTEN=127.0.0.1:{port}")
    if args:
        process["args"] = [process["args"][0], *args]
    config["root"]["readonly"] = True
    # The machine's network, so that the test can ask; all else is the container's own.
    linux = config["linux"]
    linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] not in ("network", "user", "cgroup")]
    linux.pop("resources", None)
    config["mounts"] = [m for m in config["mounts"] if m["destination"] in ("/proc", "/dev", "/dev/shm")]
    for target, source in files.items():
        config["mounts"].append(
            {"destination": target, "type": "bind", "source": str(source), "options": ["bind", "ro"]}
        )
    file.write_text(json.dumps(config))
