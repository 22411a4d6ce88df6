"""A Sigstore of one's own: its authority, its logs and its trusted root, without a network."""

import base64
import datetime
import hashlib
import json
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PAYLOAD_TYPE = "application/vnd.in-toto+json"
# https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
ISSUER_BEFORE = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
# https://www.rfc-editor.org/rfc/rfc6962#section-3.3
TIMESTAMPS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
# Of the leaf before it, so that the proof of inclusion has a step.
SIBLING = hashlib.sha256(b"another entry").digest()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def new_key(curve=None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signed(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)])


def certificate(subject: str, key, issuer: str, issuer_key, start, end, extensions) -> x509.Certificate:
    """A certificate for `key`, by `issuer_key`; `extensions` are pairs, critical the second."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def usage(**of) -> x509.KeyUsage:
    names = [
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ]
    return x509.KeyUsage(**{n: of.get(n, False) for n in names})


def authority(common: str, key, issuer: str = "", issuer_key=None, path_length=None) -> x509.Certificate:
    """The certificate of an authority, its own where no issuer is given."""
    now = datetime.datetime.now(datetime.UTC)
    year = datetime.timedelta(days=365)
    extensions = [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (usage(key_cert_sign=True), True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key((issuer_key or key).public_key()), False),
    ]
    return certificate(common, key, issuer or common, issuer_key or key, now - year, now + 10 * year, extensions)


class Instance:
    def __init__(self):
        self.fulcio, self.rekor, self.certificates_log = new_key(), new_key(), new_key()
        self.authority = authority("An authority", self.fulcio)
        self.now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)

    def trusted_root(self) -> dict:
        start = {"start": (self.now - datetime.timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")}

        def log(key, url):
            return {
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": base64_of(spki(key)),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": start,
                },
                "logId": {"keyId": base64_of(hashlib.sha256(spki(key)).digest())},
            }

        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.rekor, "https://rekor.example.com")],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "example.com", "commonName": "An authority"},
                    "uri": "https://fulcio.example.com",
                    "certChain": {"certificates": [{"rawBytes": base64_of(der(self.authority))}]},
                    "validFor": start,
                }
            ],
            "ctlogs": [log(self.certificates_log, "https://ctfe.example.com")],
            "timestampAuthorities": [],
        }

    def trust_config(self) -> dict:
        """What sigstore-python takes in place of the public instance."""
        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.trusted_root(),
            "signingConfig": {"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"},
        }

    def issue(self, key, identity: str, issuer: str, timestamp=True) -> x509.Certificate:
        """A certificate of ten minutes, with the promise of the log of certificates in it."""
        # As Fulcio does for people, and for workflows.
        kind = x509.UniformResourceIdentifier if "://" in identity else x509.RFC822Name
        own = kind(identity)
        encoded = issuer.encode()
        extensions = [
            (usage(digital_signature=True), True),
            (x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CODE_SIGNING]), False),
            (x509.SubjectAlternativeName([own]), True),
            (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.fulcio.public_key()), False),
            (x509.UnrecognizedExtension(ISSUER_BEFORE, encoded), False),
            (x509.UnrecognizedExtension(ISSUER, bytes([0x0C, len(encoded)]) + encoded), False),
        ]
        end = self.now + datetime.timedelta(minutes=10)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - datetime.timedelta(minutes=1))
            .not_valid_after(end)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        if timestamp:
            before = builder.sign(self.fulcio, hashes.SHA256()).tbs_certificate_bytes
            builder = builder.add_extension(self.promise(before), False)
        return builder.sign(self.fulcio, hashes.SHA256())

    def promise(self, certificate: bytes) -> x509.UnrecognizedExtension:
        """https://www.rfc-editor.org/rfc/rfc6962#section-3.2"""
        milliseconds = int(self.now.timestamp() * 1000)
        issuer = hashlib.sha256(spki(self.fulcio)).digest()
        length = struct.pack(">I", len(certificate))[1:]
        message = struct.pack(">BBQH", 0, 0, milliseconds, 1) + issuer + length + certificate + b"\0\0"
        signature = signed(self.certificates_log, message)
        log = hashlib.sha256(spki(self.certificates_log)).digest()
        timestamp = struct.pack(">B", 0) + log + struct.pack(">QHBBH", milliseconds, 0, 4, 3, len(signature))
        timestamp += signature
        listed = struct.pack(">HH", len(timestamp) + 2, len(timestamp)) + timestamp
        return x509.UnrecognizedExtension(TIMESTAMPS, bytes([0x04]) + length_of(listed) + listed)

    def bundle(self, payload: bytes, identity: str, issuer: str, timestamp=True, at=None) -> dict:
        """A bundle of `payload`, as a keyless signer would have it; `at` is when the log took it."""
        key = new_key()
        own = self.issue(key, identity, issuer, timestamp)
        message = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode() + payload
        envelope = {
            "payload": base64_of(payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64_of(signed(key, message)), "keyid": ""}],
        }
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": base64_of(der(own))},
                "tlogEntries": [self.entry(envelope, own, at or self.now)],
                "timestampVerificationData": {"rfc3161Timestamps": []},
            },
            "dsseEnvelope": envelope,
        }

    def entry(self, envelope: dict, own: x509.Certificate, at) -> dict:
        payload = base64.b64decode(envelope["payload"])

        def digest(data: bytes) -> dict:
            return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}

        pem = own.public_bytes(Encoding.PEM)
        verifier = {"signature": envelope["signatures"][0]["sig"], "verifier": base64_of(pem)}
        body = canonical(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": digest(canonical(envelope)),
                    "payloadHash": digest(payload),
                    "signatures": [verifier],
                },
            }
        )
        log = hashlib.sha256(spki(self.rekor)).digest()
        seconds = int(at.timestamp())
        promised = canonical({"body": base64_of(body), "integratedTime": seconds, "logID": log.hex(), "logIndex": 1})
        leaf = hashlib.sha256(b"\0" + body).digest()
        root = hashlib.sha256(b"\1" + SIBLING + leaf).digest()
        return {
            "logIndex": "1",
            "logId": {"keyId": base64_of(log)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(seconds),
            "inclusionPromise": {"signedEntryTimestamp": base64_of(signed(self.rekor, promised))},
            "inclusionProof": {
                "logIndex": "1",
                "rootHash": base64_of(root),
                "treeSize": "2",
                "hashes": [base64_of(SIBLING)],
                "checkpoint": {"envelope": self.checkpoint(root, log)},
            },
            "canonicalizedBody": base64_of(body),
        }

    def checkpoint(self, root: bytes, log: bytes) -> str:
        """https://github.com/C2SP/C2SP/blob/main/tlog-checkpoint.md"""
        note = f"rekor.example.com - 1\n2\n{base64_of(root)}\n"
        signature = base64_of(log[:4] + signed(self.rekor, note.encode()))
        return f"{note}\n\N{EM DASH} rekor.example.com {signature}\n"


def canonical(value) -> bytes:
    """As RFC 8785, for what stands here."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def der(own: x509.Certificate) -> bytes:
    return own.public_bytes(Encoding.DER)


def length_of(data: bytes) -> bytes:
    """The length in DER of up to 65,535 bytes."""
    if len(data) < 128:
        return bytes([len(data)])
    return bytes([0x81, len(data)]) if len(data) < 256 else bytes([0x82]) + struct.pack(">H", len(data))
