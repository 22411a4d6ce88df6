"""Signatures of models by certificates and without keys, against PyPI's model-signing."""

import base64
import datetime
import json
import random
import shutil
import urllib.request
from pathlib import Path

import model_signing
import pytest
import sigstore
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from open_inference.served import Server
from sigstore_instance import Instance, authority, certificate, new_key, usage
from test_signatures import CURVES, SEED, Repository, changed, is_refused

IDENTITY = "somebody@example.com"
WORKFLOW = "https://git.example.com/team/models/.github/workflows/release.yml@refs/heads/main"
ISSUER = "https://accounts.example.com"


@pytest.fixture
def repository(modelship, root, tmp_path) -> Repository:
    return Repository(modelship, root, tmp_path)


class Authority:
    """A root, an authority below it, and certificates that this one makes."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.key, self.middle_key = new_key(), new_key()
        self.own = authority("The root", self.key)
        self.middle = authority("The middle", self.middle_key, "The root", self.key, path_length=0)
        self.file = self.write("root.pem", self.own)
        self.middle_file = self.write("middle.pem", self.middle)

    def write(self, name: str, *certificates: x509.Certificate) -> Path:
        file = self.folder / name
        file.write_bytes(b"".join(c.public_bytes(Encoding.PEM) for c in certificates))
        return file

    def issue(self, curve=None, extensions=None, ended=False, subject="A signer") -> tuple[Path, Path, Path]:
        """The files of a key, of its certificate alone, and of that with the middle."""
        key = new_key(curve)
        now = datetime.datetime.now(datetime.UTC)
        year = datetime.timedelta(days=365)
        end = now - datetime.timedelta(days=1) if ended else now + year
        if extensions is None:
            extensions = [(usage(digital_signature=True), True)]
        constraints = (x509.BasicConstraints(ca=False, path_length=None), True)
        start = now - datetime.timedelta(days=30)
        own = certificate(subject, key, "The middle", self.middle_key, start, end, [constraints, *extensions])
        private = self.folder / "signer.pem"
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return private, self.write("own.pem", own), self.write("chain.pem", own, self.middle)


def theirs_signs(repository: Repository, private: Path, own: Path, others: list[Path]):
    config = model_signing.signing.Config().use_certificate_signer(
        private_key=private, signing_certificate=own, certificate_chain=others
    )
    ignored = model_signing.hashing.Config().set_ignored_paths(paths=[repository.signature])
    config.set_hashing_config(ignored).sign(repository.model, repository.signature)


def theirs_verifies(repository: Repository, root: Path):
    config = model_signing.verifying.Config().use_certificate_verifier(certificate_chain=[root])
    config.verify(repository.model, repository.signature)


@pytest.mark.parametrize("curve", CURVES)
def test_each_verifies_what_the_other_signed_with_a_certificate(repository, tmp_path, curve):
    made = Authority(tmp_path)
    private, own, chain = made.issue(CURVES[curve])
    told = repository.good("sign", repository.model, "--key", private, "--certificate", chain)
    assert "signed by certificate" in told and "CN=A signer" in told
    theirs_verifies(repository, made.file)

    repository.signature.unlink()
    theirs_signs(repository, private, own, [made.middle_file, made.file])
    told = repository.good("verify", "--certificate-authority", made.file)
    assert "verified by certificate" in told and "CN=A signer" in told


def test_a_certificate_that_has_ended_still_shows_who_signed(repository, tmp_path):
    made = Authority(tmp_path)
    private, _, chain = made.issue(ended=True)
    repository.good("sign", repository.model, "--key", private, "--certificate", chain)
    theirs_verifies(repository, made.file)
    repository.good("verify", "--certificate-authority", made.file)


def refused(repository: Repository, root: Path, reason: str):
    assert reason in repository.refused("verify", "--certificate-authority", root)
    repository.theirs_refuses(theirs_verifies, repository, root)


def test_what_no_trusted_authority_stands_for_is_refused(repository, tmp_path):
    made = Authority(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    others = Authority(other)
    private, own, chain = made.issue()
    repository.good("sign", repository.model, "--key", private, "--certificate", chain)
    refused(repository, others.file, "of no authority that is trusted")
    # Without the one between, nothing leads to the root.
    repository.good("sign", repository.model, "--key", private, "--certificate", own)
    refused(repository, made.file, "of no authority that is trusted")
    # A certificate that nobody but its holder made.
    key = ec.generate_private_key(ec.SECP256R1())
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    own = made.write("self.pem", authority("The root", key))
    repository.good("sign", repository.model, "--key", private, "--certificate", own)
    refused(repository, made.file, "does not hold")


def test_a_certificate_for_something_else_signs_no_model(repository, tmp_path):
    made = Authority(tmp_path)
    private, _, chain = made.issue(extensions=[(usage(key_agreement=True), True)])
    repository.good("sign", repository.model, "--key", private, "--certificate", chain)
    refused(repository, made.file, "not made for signing")
    server = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])
    private, _, chain = made.issue(extensions=[(server, False)])
    repository.good("sign", repository.model, "--key", private, "--certificate", chain)
    # The tool takes this one; a server's certificate is no signer's here.
    assert "not made for signing" in repository.refused("verify", "--certificate-authority", made.file)


def test_a_certificate_of_another_key_is_not_signed_with(repository, tmp_path):
    made = Authority(tmp_path)
    _, _, chain = made.issue()
    private, _ = repository.key("other.pem")
    assert "for another key" in repository.refused("sign", repository.model, "--key", private, "--certificate", chain)


def test_changes_after_a_certificate_signed_are_refused(repository, tmp_path):
    made = Authority(tmp_path)
    private, _, chain = made.issue()
    repository.good("sign", repository.model, "--key", private, "--certificate", chain)
    good = repository.signature.read_bytes()
    chance = random.Random(SEED)
    start = good.index(b"rawBytes")
    flags = ["--certificate-authority", made.file]
    each = (changed(good, chance.randrange(start, start + 800), chance) for _ in range(30))
    assert sum(is_refused(repository, good, bad, *flags) for bad in each) > 20
    repository.signature.write_bytes(good)
    (repository.model / "NOTES.md").write_text("new")
    refused(repository, made.file, "does not list")


def card(server: Server) -> dict:
    with urllib.request.urlopen(f"{server.url}/models/linear", timeout=30) as answer:
        return json.load(answer)


def test_a_review_knows_a_renewed_certificate_from_another_signer(repository, tmp_path):
    made = Authority(tmp_path)
    before = tmp_path / "before"

    def sign(**of):
        private, _, chain = made.issue(**of)
        repository.good("sign", repository.model, "--key", private, "--certificate", chain)

    def review() -> tuple[str, str]:
        flags = ["--models", repository.folder / "models", "--format", "json", "--speed", "0"]
        told = json.loads(repository.good("diff", before, repository.folder / "models", *flags))
        texts = [note["text"] for model in told["models"] for note in model["notes"]]
        return "; ".join(texts), told["verdict"]

    sign()
    shutil.copytree(repository.folder / "models", before)
    assert review() == ("", "fits")
    sign()
    text, verdict = review()
    assert "the signer is the same by name and authority, with a renewed certificate" in text
    assert verdict == "fits"
    sign(subject="Another signer")
    text, verdict = review()
    assert "CN=A signer, and now by certificate" in text and "CN=Another signer" in text
    assert verdict == "look"


def test_a_service_trusts_an_authority(repository, tmp_path):
    made = Authority(tmp_path)
    private, _, chain = made.issue()
    repository.good("sign", repository.model, "--key", private, "--certificate", chain)
    flags = [f"--certificate-authority={made.file}", "--require-signature", "--watch=off"]
    with Server(repository.folder / "models", *flags) as server:
        assert "CN=A signer" in card(server)["signature"]
        with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer:
            assert 'signature="verified"' in answer.read().decode()
    (repository.model / "train.py").write_text("changed")
    with pytest.raises(RuntimeError, match="is not what was signed"):
        Server(repository.folder / "models", *flags)


class Keyless:
    """A repository that is signed without a key."""

    def __init__(self, repository: Repository):
        self.repository, self.instance = repository, Instance()
        private, _ = repository.key("any.pem")
        repository.theirs_signs(private)
        envelope = json.loads(repository.signature.read_text())["dsseEnvelope"]
        self.payload = base64.b64decode(envelope["payload"])
        self.root = repository.folder / "trusted_root.json"
        self.config = repository.folder / "trust_config.json"
        self.trust(self.instance)

    def trust(self, instance: Instance):
        self.root.write_text(json.dumps(instance.trusted_root()))
        self.config.write_text(json.dumps(instance.trust_config()))

    def write(self, bundle: dict):
        self.repository.signature.write_text(json.dumps(bundle))

    def sign(self, identity=IDENTITY, **more) -> dict:
        bundle = self.instance.bundle(self.payload, identity, ISSUER, **more)
        self.write(bundle)
        return bundle

    def flags(self, identity=IDENTITY, issuer=ISSUER) -> list[str]:
        return [f"--signer-identity={identity}", f"--signer-issuer={issuer}", f"--trust-root={self.root}"]

    def theirs_verifies(self, identity=IDENTITY, issuer=ISSUER):
        config = model_signing.verifying.Config().use_sigstore_verifier(
            identity=identity, oidc_issuer=issuer, trust_config=self.config
        )
        config.verify(self.repository.model, self.repository.signature)

    def refused(self, reason: str, identity=IDENTITY, issuer=ISSUER):
        told = self.repository.refused("verify", *self.flags(identity, issuer))
        assert reason in told, told
        self.repository.theirs_refuses(self.theirs_verifies, identity, issuer)


@pytest.fixture
def keyless(repository) -> Keyless:
    return Keyless(repository)


@pytest.mark.parametrize("identity", [IDENTITY, WORKFLOW], ids=["person", "workflow"])
def test_both_verify_what_was_signed_without_a_key(keyless, identity):
    keyless.sign(identity)
    keyless.theirs_verifies(identity)
    told = keyless.repository.good("verify", *keyless.flags(identity))
    assert f"verified by {identity} of {ISSUER}" in told


def test_who_signed_without_a_key_is_who_is_trusted(keyless):
    keyless.sign()
    keyless.refused("identity", identity="another@example.com")
    keyless.refused("issuer", issuer="https://other.example.com")
    keyless.trust(Instance())
    keyless.refused("log")


def test_a_keyless_signature_needs_its_time_and_its_logs(keyless):
    late = keyless.instance.now + datetime.timedelta(minutes=11)
    keyless.sign(at=keyless.instance.now - datetime.timedelta(hours=1))
    keyless.refused("certificate")
    keyless.sign(at=late)
    keyless.refused("future")
    keyless.sign(timestamp=False)
    keyless.refused("SCT")
    bundle = keyless.sign()
    bundle["verificationMaterial"]["tlogEntries"] = []
    keyless.write(bundle)
    keyless.refused("inclusion proof")
    # The entry of another signature.
    other, bundle = keyless.sign(), keyless.sign()
    bundle["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]
    keyless.write(bundle)
    keyless.refused("Rekor entry")


def test_what_changes_after_a_keyless_signature_is_refused(keyless):
    keyless.sign()
    good = keyless.repository.signature.read_bytes()
    (keyless.repository.model / "train.py").write_text("changed")
    keyless.refused("is not what was signed")
    chance = random.Random(SEED)
    each = (changed(good, chance.randrange(len(good)), chance) for _ in range(30))
    assert sum(is_refused(keyless.repository, good, bad, *keyless.flags()) for bad in each) > 20


def test_a_key_that_is_trusted_does_not_stand_for_an_identity(keyless):
    keyless.sign()
    _, public = keyless.repository.key("own.pem")
    assert "no identity is trusted" in keyless.repository.refused("verify", "--key", public)
    private, _ = keyless.repository.key("second.pem")
    keyless.repository.good("sign", keyless.repository.model, "--key", private)
    assert "not trusted" in keyless.repository.refused("verify", *keyless.flags())


def test_a_trust_root_that_is_none_is_told_with_its_file(keyless):
    keyless.sign()
    for text in ["", "{}", "[]", '{"mediaType": 1}', json.dumps(keyless.instance.trusted_root())[:500]]:
        keyless.root.write_text(text)
        told = keyless.repository.refused("verify", *keyless.flags())
        assert "panicked" not in told
        assert "trusted_root.json" in told or "log" in told, told


@pytest.mark.parametrize("public", sorted(Path(sigstore.__file__).parent.glob("_store/*/trusted_root.json")))
def test_the_trust_roots_of_public_instances_are_read(keyless, public):
    """Those that sigstore-python brings: nobody there knows the signer, and that is the reason."""
    keyless.sign()
    keyless.root.write_bytes(public.read_bytes())
    told = keyless.repository.refused("verify", *keyless.flags())
    assert "No log key" in told and "trusted root of Sigstore" not in told, told


def test_a_service_trusts_an_identity(keyless):
    keyless.sign(WORKFLOW)
    flags = [*keyless.flags(WORKFLOW), "--require-signature", "--watch=off"]
    models = keyless.repository.folder / "models"
    with Server(models, *flags) as server:
        assert card(server)["signature"] == f"verified by {WORKFLOW} of {ISSUER}"
    with pytest.raises(RuntimeError, match="identity"):
        Server(models, *keyless.flags(), "--watch=off")
