"""The image: built from the real Dockerfile with buildah, pushed to a real registry that demands a
login, and run as Kubernetes runs it. And the whole loop, with real git."""

import datetime
import json
import os
import re
import subprocess
import urllib.error
import urllib.request

import pytest
import yaml

import delivery_loop as loop
import image
from manifests import ROOT, find, render
from test_alerts import METRICS

# scripts/test-delivery gives the tests of one file to one worker, so one world is made for all.
pytestmark = pytest.mark.needs(
    "buildah", "cargo", "docker-registry", "htpasswd", "mmdebstrap", "runc", "skopeo", "umoci"
)

TOKEN = "token-of-the-release"


class World:
    """A registry, a git remote, and a source repository of this working tree's content."""

    def __init__(self, folder):
        self.folder = folder
        self.registry = image.Registry(folder)
        self.remote = loop.GitRemote(folder, token=TOKEN)
        self.image = f"{self.registry.host}/modelship"
        url = self.remote.create("modelship")
        self.tree = loop.clone(ROOT, folder / "source", {"IMAGE": self.image, "GITOPS_URL": url})
        self.overlay()
        loop.git("remote", "add", "origin", url, cwd=self.tree)
        self.push()
        self.first = loop.git("rev-parse", "HEAD", cwd=self.tree)
        self.digest = self.build()

    def overlay(self):
        """What is not committed yet belongs to the proof as well."""
        for path in ("Dockerfile", ".dockerignore", "scripts", "gitops/base", "gitops/release/kustomization.yaml"):
            image.run("cp", "-r", "-T", str(ROOT / path), str(self.tree / path))
        if loop.git("status", "--porcelain", cwd=self.tree):
            loop.commit(self.tree, "As it lies")

    def push(self):
        environment = os.environ | {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.extraHeader",
            "GIT_CONFIG_VALUE_0": "Authorization: Basic " + image.basic("x-access-token", TOKEN),
        }
        image.run("git", "push", "--quiet", "origin", "HEAD:main", cwd=self.tree, env=environment)

    def build(self, *more):
        commit = loop.git("rev-parse", "HEAD", cwd=self.tree)
        return image.build(self.tree, self.image, commit, *more, push=True, authfile=self.registry.authfile)

    def run(self, *command):
        environment = os.environ | {
            "REGISTRY_AUTH_FILE": str(self.registry.authfile), "BUMP_TOKEN": TOKEN,
        }  # fmt: skip
        return image.run(*command, cwd=self.tree, env=environment)

    def close(self):
        self.remote.close()
        self.registry.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    for role in ("AUTHOR", "COMMITTER"):
        os.environ[f"GIT_{role}_NAME"], os.environ[f"GIT_{role}_EMAIL"] = "release", "release@example.org"
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.close()


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def serving(world, reference, *args, **kwargs):
    return image.container(reference, world.registry.authfile, *args, **kwargs)


def ready(url, process):
    image.wait_for(f"{url}/readyz", process)


def test_it_answers_non_root_on_a_read_only_root(world):
    with serving(world, f"{world.image}:{world.first}") as (url, process, _):
        ready(url, process)
        assert get(f"{url}/predict/21") == '{"input":21,"prediction":48,"model_version":"v1.1.0"}'
        cards = json.loads(get(f"{url}/models"))["models"]
        assert {card["name"] for card in cards} == {"iris", "linear"}
        assert {card["commit"] for card in cards} == {world.first}
        # What the alerts and the dashboard ask for is what this very image offers.
        names = set(re.findall(r"^# TYPE (\w+) ", get(f"{url}/metrics"), re.M))
        assert METRICS - names <= {"modelship_tls_certificate_expiry_timestamp_seconds"}, (
            "but for TLS, not asked for here"
        )
        process.terminate()
        assert process.wait(20) == 0


def test_the_registry_demands_a_login(world, tmp_path):
    with pytest.raises(urllib.error.HTTPError) as error:
        get(f"http://{world.registry.host}/v2/modelship/manifests/{world.first}")
    assert error.value.code == 401


def test_size_and_layers(world):
    manifest = world.registry.manifest("modelship", world.first)
    sizes = [layer["size"] for layer in manifest["layers"]]
    # base, locale, ONNX Runtime, binary, models
    assert len(sizes) == 5
    assert sum(sizes) <= 40_000_000, f"{sum(sizes)} bytes, compressed"
    print(f"image: {sum(sizes) / 1e6:.1f} MB compressed, layers {sizes}")


def test_labels_and_configuration(world):
    config = world.registry.config("modelship", world.first)["config"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.revision"] == world.first
    assert labels["org.opencontainers.image.source"].startswith("https://github.com/")
    moment = int(loop.git("log", "-1", "--format=%ct", cwd=world.tree))
    created = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    assert labels["org.opencontainers.image.created"] == created.strftime("%Y-%m-%dT%H:%M:%SZ")
    models = loop.git("ls-tree", "-r", "--name-only", "HEAD", "models", cwd=world.tree)
    assert "linear v1.1.0 model.onnx" in labels["modelship.models"] and "linear/model.onnx" in models
    onnx = (world.tree / "models/linear/model.onnx").read_bytes()
    assert loop.digest(onnx) in labels["modelship.models"]
    assert config["User"] == "65532:65532"
    assert "ORT_DISABLE_TELEMETRY=1" in config["Env"]
    assert config["Entrypoint"] == ["/usr/local/bin/modelship"] and config["Cmd"] == ["serve"]


def test_another_commit_gives_another_label(world):
    """buildah's cache would give the last commit's: nothing but the commit has changed."""
    loop.git("commit", "--quiet", "--allow-empty", "--message", "Nothing", cwd=world.tree)
    commit = loop.git("rev-parse", "HEAD", cwd=world.tree)
    world.build()
    config = world.registry.config("modelship", commit)["config"]
    assert config["Labels"]["org.opencontainers.image.revision"] == commit
    assert f"MODELSHIP_COMMIT={commit}" in config["Env"]
    loop.git("reset", "--quiet", "--hard", world.first, cwd=world.tree)


def test_the_same_commit_gives_the_same_bytes(world):
    again = image.build(world.tree, world.image, "again", "--no-cache", push=True, authfile=world.registry.authfile)
    assert again == world.digest


def test_the_health_check_needs_no_shell(world):
    world.run("buildah", "build", "--isolation", "chroot", "--layers", "--format", "docker", "--quiet",
              "--build-context", f"binary={image.binary()}",
              "--build-arg", f"RUNTIME_BASE={image.base('runtime')}",
              "--build-arg", f"PYTHON_BASE={image.base('python')}",
              "--tag", "localhost/modelship-health", ".")  # fmt: skip
    raw = world.run("buildah", "inspect", "--type", "image", "localhost/modelship-health")
    image.forget("localhost/modelship-health")
    check = json.loads(raw)["Docker"]["config"]["Healthcheck"]["Test"]
    assert check[0] == "CMD" and check[1].endswith("/modelship")
    # And what it does is right: 1 while nothing listens, 0 when it is ready.
    reference = f"{world.image}:{world.first}"
    with serving(world, reference, *check[2:-1], "http://127.0.0.1:1") as (_, process, _):
        assert process.wait(20) == 1
    with serving(world, reference) as (url, process, _):
        ready(url, process)
        with serving(world, reference, *check[2:-1], url) as (_, probe, _):
            assert probe.wait(20) == 0


def test_the_locale_of_string_normalizers_is_there(world):
    """ONNX Runtime's StringNormalizer fails where en_US.UTF-8 does not exist."""
    with serving(world, f"{world.image}:{world.first}", "--version") as (_, process, _):
        process.wait(20)
    manifest = world.registry.manifest("modelship", world.first)
    layer = world.folder / "locale.tar.gz"
    digest = manifest["layers"][1]["digest"]
    blob = urllib.request.Request(
        f"http://{world.registry.host}/v2/modelship/blobs/{digest}",
        headers={"Authorization": "Basic " + image.basic(world.registry.user, world.registry.password)},
    )
    layer.write_bytes(urllib.request.urlopen(blob, timeout=30).read())
    names = image.run("tar", "-tzf", str(layer))
    assert "usr/lib/locale/en_US.utf8/LC_CTYPE" in names


@pytest.mark.parametrize("spoil", [loop.tamper, loop.break_a_golden_case], ids=["tampered", "golden case"])
def test_an_image_that_cannot_predict_is_never_made(world, spoil):
    try:
        spoil(world.tree, "linear")
        with pytest.raises(AssertionError) as error:
            image.build(world.tree, world.image, "bad")
        assert "linear" in str(error.value)
    finally:
        loop.git("checkout", "--quiet", ".", cwd=world.tree)


def forge(world, spoil):
    """An image with a bad model in it, which no honest build gives."""
    bad = world.folder / spoil.__name__
    image.run("cp", "-r", str(world.tree / "models"), str(bad))
    (bad / "models").mkdir(exist_ok=True)
    image.run("cp", "-r", "-T", str(world.tree / "models"), str(bad / "models"))
    spoil(bad, "linear")
    container = world.run("buildah", "from", "--tls-verify=false", f"{world.image}:{world.first}")
    world.run("buildah", "add", "--quiet", container, str(bad / "models"), "/models")
    reference = f"{world.image}:{spoil.__name__}"
    world.run("buildah", "commit", "--quiet", "--rm", container, reference)
    world.run("buildah", "push", "--quiet", "--tls-verify=false", reference)
    return reference


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(loop.tamper, "sha256"), (loop.break_a_golden_case, "golden case")],
    ids=["tampered", "golden case"],
)
def test_a_bad_model_never_gets_ready(world, spoil, reason):
    """The second wall: such a pod ends with a status and one line, so the rollout stalls."""
    with serving(world, forge(world, spoil)) as (_, process, log):
        assert process.wait(30) == 1
        log.seek(0)
        last = log.read().strip().splitlines()[-1]
    assert "linear" in last and reason in last.lower(), last


def test_the_whole_loop(world):
    """A commit with a new model → image → push → index → the tag resolves to the digest → bump →
    the rendered manifest names that digest → that image serves the new version, and its card's
    sha256 is git's → git revert brings the old manifest back."""
    tree = world.tree

    def release():
        commit = loop.git("rev-parse", "HEAD", cwd=tree)
        one = world.build()
        index = world.run("scripts/publish-image", "--engine", "buildah", "--tag", commit, "--image", world.image, one)
        written = world.run("scripts/bump-image", "--commit", commit, "--digest", index.splitlines()[-1])
        assert written.startswith("written"), written
        loop.git("pull", "--quiet", "--rebase", "origin", "main", cwd=tree)
        return commit, index.splitlines()[-1]

    def manifest():
        deployment = find(render("overlays/production", tree / "gitops"), "Deployment")
        return deployment["spec"]["template"]["spec"]["containers"][0]["image"]

    old_commit, old_digest = release()
    assert manifest() == f"{world.image}:{old_commit}@{old_digest}"
    before = [layer["digest"] for layer in world.registry.manifest("modelship", world.digest)["layers"]]

    version = loop.next_version(tree, "linear")
    loop.commit(tree, f"linear {version}")
    world.push()
    commit, digest = release()
    assert version == "v1.2.0"

    # Tag and digest agree, under the commit and under the model's version.
    for tag in (commit, f"linear-{version}"):
        raw = world.registry.skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{world.image}:{tag}")
        assert "sha256:" + loop.digest(raw.encode()) == digest
    reference = manifest()
    assert reference == f"{world.image}:{commit}@{digest}"

    # A swap pulls the last layer alone.
    index = world.registry.manifest("modelship", digest)
    after = world.registry.manifest("modelship", index["manifests"][0]["digest"])["layers"]
    assert [layer["digest"] for layer in after][:-1] == before[:-1]
    assert after[-1]["digest"] != before[-1]

    # What runs is what git holds; the job after a sync says so, of this and not of another.
    held = tree / "gitops/release/release.json"
    files = next(m["files"] for m in json.loads(held.read_text())["models"] if m["name"] == "linear")
    assert files[0]["sha256"] == loop.digest((tree / "models/linear/model.onnx").read_bytes())
    with serving(world, f"{world.image}@{digest}") as (url, process, _):
        ready(url, process)
        assert json.loads(get(f"{url}/predict/21")) == {"input": 21, "prediction": 48, "model_version": version}
        card = json.loads(get(f"{url}/models/linear"))
        assert (card["version"], card["files"], card["commit"]) == (version, files, commit)
        job = yaml.safe_load((tree / "gitops/base/verify.yaml").read_text())
        args = job["spec"]["template"]["spec"]["containers"][0]["args"]
        args = [url if arg.startswith("http") else arg for arg in args]
        for content, status in ((held.read_text(), 0), (held.read_text().replace(version, "v9.9.9"), 1)):
            file = world.folder / "release.json"
            file.write_text(content)
            inside = {"/release/release.json": file}
            with serving(world, f"{world.image}@{digest}", *args, files=inside) as (_, verify, log):
                assert verify.wait(20) == status, log.seek(0) or log.read()

    # The way back.
    bump = loop.git("log", "-1", "--format=%H", "--", "gitops/release", cwd=tree)
    loop.git("revert", "--no-edit", bump, cwd=tree)
    assert manifest() == f"{world.image}:{old_commit}@{old_digest}"

    # Nothing that is not in the registry can be written.
    refused = subprocess.run(
        ["scripts/bump-image", "--commit", commit, "--digest", "sha256:" + "1" * 64],
        cwd=tree, capture_output=True, text=True,
        env=os.environ | {"REGISTRY_AUTH_FILE": str(world.registry.authfile), "BUMP_TOKEN": TOKEN},
    )  # fmt: skip
    assert refused.returncode == 1 and "push the image first" in refused.stderr
    assert subprocess.run(["git", "push", "-q", "origin", "HEAD:main"], cwd=tree, capture_output=True,
                          env=os.environ | {"GIT_TERMINAL_PROMPT": "0"}).returncode != 0  # fmt: skip
