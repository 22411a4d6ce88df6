"""Who may come in, as curl, requests, tritonclient and grpcio find it: TLS, certificates of callers, keys."""

import json
import socket
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest
import requests
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from open_inference.served import Server, binary

CHALLENGE = 'Bearer realm="modelship"'


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)


@dataclass
class Pair:
    """A certificate and its key, in files."""

    certificate: Path
    key: Path

    @classmethod
    def authority(cls, folder: Path, name: str) -> "Pair":
        own = cls(folder / f"{name}.pem", folder / f"{name}.key")
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        openssl(
            "req", "-x509", *curve, "-days", 30, "-subj", f"/CN={name}", "-keyout", own.key, "-out", own.certificate
        )
        return own

    def sign(self, name: str) -> "Pair":
        folder = self.certificate.parent
        own = Pair(folder / f"{name}.pem", folder / f"{name}.key")
        request, names = folder / f"{name}.csr", folder / f"{name}.cnf"
        names.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        openssl("req", *curve, "-subj", f"/CN={name}", "-keyout", own.key, "-out", request)
        signed = ("-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", 30)
        openssl("x509", "-req", "-in", request, *signed, "-extfile", names, "-out", own.certificate)
        return own


@dataclass
class Doors:
    """A service behind TLS, certificates of callers, and keys."""

    address: str
    authority: Pair
    own: Pair
    keys: dict[str, str]

    @property
    def url(self) -> str:
        return f"https://{self.address}"

    def headers(self, scope: str = "predict") -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[scope]}"}

    def channel(self, with_certificate: bool = True) -> grpc.Channel:
        own = (self.own.key.read_bytes(), self.own.certificate.read_bytes()) if with_certificate else ()
        return grpc.secure_channel(
            self.address, grpc.ssl_channel_credentials(self.authority.certificate.read_bytes(), *own)
        )


@pytest.fixture(scope="module")
def doors(tmp_path_factory, root):
    folder = tmp_path_factory.mktemp("doors")
    authority, callers = Pair.authority(folder, "authority"), Pair.authority(folder, "callers")
    shown, own = authority.sign("service"), callers.sign("caller")
    keys, lines = {}, ""
    for scope in ("predict", "admin", "metrics"):
        made = subprocess.run(
            [binary(), "api-key", f"{scope}-key", "--scopes", scope], check=True, capture_output=True, text=True
        )
        keys[scope], lines = made.stderr.strip(), lines + made.stdout
    (folder / "keys").write_text(lines)
    flags = [
        f"--tls-cert={shown.certificate}",
        f"--tls-key={shown.key}",
        f"--tls-client-ca={callers.certificate}",
        f"--api-keys={folder / 'keys'}",
        "--allow-repository-control",
        "--default-model=linear",
        "--watch=off",
    ]
    with Server(root / "models", *flags) as server:
        yield Doors(server.address.replace("127.0.0.1", "localhost"), authority, own, keys)


def test_who_comes_again_needs_no_whole_handshake(doors):
    context = ssl.create_default_context(cafile=str(doors.authority.certificate))
    context.load_cert_chain(doors.own.certificate, doors.own.key)

    def ask(session):
        port = int(doors.address.rpartition(":")[2])
        with (
            socket.create_connection(("127.0.0.1", port), 60) as connection,
            context.wrap_socket(connection, server_hostname="localhost", session=session) as wrapped,
        ):
            wrapped.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            answer = b""
            while piece := wrapped.recv(4096):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 200 ")
            return wrapped.session_reused, wrapped.session

    is_resumed, session = ask(None)
    assert not is_resumed
    assert ask(session)[0]


def curl(doors: Doors, path: str, *arguments) -> tuple[int, str, str]:
    """The status, the version of HTTP, and the body."""
    certificates = ["--cacert", doors.authority.certificate, "--cert", doors.own.certificate, "--key", doors.own.key]
    done = subprocess.run(
        ["curl", "-sS", "-w", "\n%{http_code} %{http_version}", *certificates, *arguments, f"{doors.url}{path}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    body, _, rest = done.stdout.rpartition("\n")
    status, version = rest.split()
    return int(status), version, body


@pytest.mark.parametrize(("flag", "version"), [("--http1.1", "1.1"), ("--http2", "2")])
def test_curl(doors, flag, version):
    key = f"X-API-Key: {doors.keys['predict']}"
    status, spoken, body = curl(doors, "/predict/21", flag, "-H", key)
    assert (status, spoken) == (200, version) and json.loads(body)["prediction"] == 48
    status, spoken, body = curl(doors, "/predict/21", flag)
    assert (status, spoken) == (401, version) and "Bearer" in json.loads(body)["error"]
    assert curl(doors, "/readyz", flag)[0] == 200


def test_requests(doors):
    with requests.Session() as session:
        # A bundle that the environment names would take the place of ours.
        session.trust_env = False
        session.verify = str(doors.authority.certificate)
        session.cert = (str(doors.own.certificate), str(doors.own.key))
        answer = session.get(f"{doors.url}/models", timeout=30)
        assert answer.status_code == 401 and answer.headers["www-authenticate"] == CHALLENGE
        for scope, path, status in [
            ("predict", "/models", 200),
            ("predict", "/metrics", 403),
            ("metrics", "/metrics", 200),
            ("metrics", "/predict/21", 403),
        ]:
            answer = session.get(f"{doors.url}{path}", headers=doors.headers(scope), timeout=30)
            assert answer.status_code == status, (scope, path, answer.text)
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["strict-transport-security"].startswith("max-age=")
        for scope, status in [("predict", 403), ("admin", 200)]:
            load = f"{doors.url}/v2/repository/models/linear/load"
            answer = session.post(load, headers=doors.headers(scope), timeout=60)
            assert answer.status_code == status, answer.text
    # Without a certificate of its own a caller is not even heard.
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{doors.url}/readyz", verify=str(doors.authority.certificate), timeout=30)


def test_tritonclient_over_http(doors):
    options = {"ca_certs": str(doors.authority.certificate)}
    options |= {"certfile": str(doors.own.certificate), "keyfile": str(doors.own.key)}
    with triton_http.InferenceServerClient(doors.address, ssl=True, ssl_options=options) as client:
        metadata = client.get_model_metadata("linear", headers=doors.headers())
        tensor = triton_http.InferInput(metadata["inputs"][0]["name"], [1, 1], "FP32")
        tensor.set_data_from_numpy(np.array([[21]], np.float32))
        answer = client.infer("linear", [tensor], headers=doors.headers())
        assert answer.as_numpy(metadata["outputs"][0]["name"]).item() == 48
        assert client.is_server_ready()
        with pytest.raises(InferenceServerException, match="a key is asked for"):
            client.infer("linear", [tensor])


def test_tritonclient_over_grpc(doors):
    certificates = {
        "root_certificates": str(doors.authority.certificate),
        "private_key": str(doors.own.key),
        "certificate_chain": str(doors.own.certificate),
    }
    with triton_grpc.InferenceServerClient(doors.address, ssl=True, **certificates) as client:
        metadata = client.get_model_metadata("linear", headers=doors.headers())
        tensor = triton_grpc.InferInput(metadata.inputs[0].name, [1, 1], "FP32")
        tensor.set_data_from_numpy(np.array([[21]], np.float32))
        answer = client.infer("linear", [tensor], headers=doors.headers())
        assert answer.as_numpy(metadata.outputs[0].name).item() == 48
        with pytest.raises(InferenceServerException, match="a key is asked for"):
            client.infer("linear", [tensor])


def test_grpcio(doors):
    with doors.channel() as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        about = service_pb2.ModelMetadataRequest(name="linear")
        load = service_pb2.RepositoryModelLoadRequest(model_name="linear")
        for call, request, metadata, code in [
            (stub.ModelMetadata, about, (), grpc.StatusCode.UNAUTHENTICATED),
            (stub.ModelMetadata, about, (("x-api-key", "msk_wrong"),), grpc.StatusCode.UNAUTHENTICATED),
            (stub.ModelMetadata, about, (("x-api-key", doors.keys["metrics"]),), grpc.StatusCode.PERMISSION_DENIED),
            (stub.RepositoryModelLoad, load, tuple(doors.headers().items()), grpc.StatusCode.PERMISSION_DENIED),
        ]:
            with pytest.raises(grpc.RpcError) as caught:
                call(request, metadata=metadata, timeout=30)
            assert caught.value.code() == code and "key" in caught.value.details()
        answer = stub.ModelMetadata(about, metadata=(("x-api-key", doors.keys["predict"]),), timeout=30)
        assert answer.name == "linear"
        stub.RepositoryModelLoad(load, metadata=tuple(doors.headers("admin").items()), timeout=60)
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
        assert health.status == health_pb2.HealthCheckResponse.SERVING
    with doors.channel(with_certificate=False) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
        assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
