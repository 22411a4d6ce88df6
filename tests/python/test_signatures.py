"""Signatures of models, against the specification's own tool: PyPI's model-signing."""

import base64
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import model_signing
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from conftest import environment

CURVES = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
# What changes at random in these tests is the same in every run.
SEED = 20251


class Repository:
    """A model repository of one model, the shipped one, with a key pair beside it."""

    def __init__(self, binary: Path, root: Path, folder: Path):
        self.binary, self.folder = binary, folder
        self.model = folder / "models" / "linear"
        self.signature = self.model / "model.sig"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / "models" / "linear", self.model, ignore=ignored)

    def run(self, *arguments) -> subprocess.CompletedProcess:
        return subprocess.run(
            [self.binary / "modelship", *map(str, arguments)],
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
        )

    def good(self, *arguments) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments) -> str:
        """The reason, which is a sentence and no panic."""
        done = self.run(*arguments)
        assert done.returncode == 1, done
        assert "panicked" not in done.stderr
        return done.stderr

    def key(self, name: str, curve="p256") -> tuple[Path, Path]:
        """A key pair of ours: the private and the public file."""
        private = self.folder / name
        self.good("key", private, "--curve", curve)
        return private, private.with_name(f"{name}.pub")

    def theirs_signs(self, private: Path):
        signer = model_signing.signing.Config().use_elliptic_key_signer(private_key=private)
        signer.set_hashing_config(model_signing.hashing.Config().set_ignored_paths(paths=[self.signature]))
        signer.sign(self.model, self.signature)

    def theirs_verifies(self, public: Path):
        verifier = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=public)
        verifier.verify(self.model, self.signature)

    def theirs_refuses(self, verifies, *arguments):
        # Whatever it raises, it does not verify.
        with pytest.raises(Exception):  # noqa: B017
            verifies(*arguments)

    def both_refuse(self, public: Path, reason: str):
        assert reason in self.refused("verify", "--key", public)
        self.theirs_refuses(self.theirs_verifies, public)


@pytest.fixture
def repository(modelship, root, tmp_path) -> Repository:
    return Repository(modelship, root, tmp_path)


@pytest.mark.parametrize("curve", CURVES)
def test_each_verifies_what_the_other_signed(repository, curve):
    private, public = repository.key("own.pem", curve)
    repository.good("sign", repository.model, "--key", private)
    repository.theirs_verifies(public)

    repository.signature.unlink()
    repository.theirs_signs(private)
    assert "verified by key " in repository.good("verify", "--key", public)


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL], ids=["pkcs8", "sec1"])
@pytest.mark.parametrize("curve", CURVES)
def test_keys_that_others_made_sign_and_verify(repository, curve, form):
    key = ec.generate_private_key(CURVES[curve])
    private, public = repository.folder / "key.pem", repository.folder / "key.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, form, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    repository.good("sign", repository.model, "--key", private)
    repository.theirs_verifies(public)
    repository.good("verify", "--key", public)


def test_a_key_on_a_curve_that_the_tool_refuses_is_refused(repository):
    key = ec.generate_private_key(ec.SECP256K1())
    private = repository.folder / "key.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert "on none of the curves" in repository.refused("sign", repository.model, "--key", private)
    with pytest.raises(ValueError, match="curve"):
        repository.theirs_signs(private)


def test_the_command_lines_agree(repository):
    """As people run them, and not by their libraries."""

    def tool(*arguments):
        command = [sys.executable, "-m", "model_signing", *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, env=environment())

    private, public = repository.key("own.pem")
    repository.good("sign", repository.model, "--key", private)
    tool("verify", "key", "--signature", repository.signature, "--public_key", public, repository.model)
    repository.signature.unlink()
    tool("sign", "key", "--signature", repository.signature, "--private_key", private, repository.model)
    repository.good("verify", "--key", public)


@pytest.fixture(params=["ours", "theirs"])
def signed(request, repository) -> tuple[Repository, Path]:
    """A repository that one of both signed, and the public key."""
    private, public = repository.key("own.pem")
    if request.param == "ours":
        repository.good("sign", repository.model, "--key", private)
    else:
        repository.theirs_signs(private)
    return repository, public


@pytest.mark.parametrize(
    "name, reason",
    [
        ("NOTES.md", "does not list"),
        ("cases/more.md", "does not list"),
        ("cases/.hidden", "does not list"),
        (".env", "does not list"),
    ],
)
def test_a_file_that_is_not_signed_is_refused(signed, name, reason):
    repository, public = signed
    (repository.model / name).write_text("new")
    repository.both_refuse(public, reason)


def test_a_missing_file_is_refused(signed):
    repository, public = signed
    (repository.model / "train.py").unlink()
    repository.both_refuse(public, "which is not there")


def test_another_key_is_refused(signed):
    repository, _ = signed
    _, public = repository.key("other.pem")
    repository.both_refuse(public, "not trusted")


def test_a_changed_byte_in_any_file_is_refused(signed):
    repository, public = signed
    chance = random.Random(SEED)
    for path in sorted(p for p in repository.model.rglob("*") if p.is_file() and p != repository.signature):
        good = path.read_bytes()
        at = chance.randrange(len(good))
        path.write_bytes(changed(good, at, chance))
        repository.refused("verify", "--key", public)
        path.write_bytes(good)
    repository.good("verify", "--key", public)


def changed(good: bytes, at: int, chance: random.Random) -> bytes:
    return good[:at] + bytes([good[at] ^ chance.randrange(1, 256)]) + good[at + 1 :]


def test_a_changed_byte_in_the_bundle_changes_nothing_or_is_refused(signed):
    repository, public = signed
    good = repository.signature.read_bytes()
    chance = random.Random(SEED)
    each = (changed(good, chance.randrange(len(good)), chance) for _ in range(60))
    assert sum(is_refused(repository, good, bad, "--key", public) for bad in each) > 50


def is_refused(repository: Repository, good: bytes, bad: bytes, *flags) -> bool:
    """Whether the bundle `bad` is refused. A byte in a key that means nothing may be any other: what
    was signed is then still the same."""
    repository.signature.write_bytes(bad)
    done = repository.run("verify", *flags)
    assert done.returncode in (0, 1) and "panicked" not in done.stderr, done
    if done.returncode == 0:
        assert meaning(bad) == meaning(good)
    return done.returncode == 1


def meaning(bundle: bytes) -> tuple[bytes, bytes]:
    """What a bundle says that was signed, and the signature."""
    envelope = json.loads(bundle)["dsseEnvelope"]
    return base64.b64decode(envelope["payload"]), base64.b64decode(envelope["signatures"][0]["sig"])
