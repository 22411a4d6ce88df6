#!/usr/bin/env python3
"""What a TLS handshake costs the server, whole and resumed, in CPU time.

PYTHONPATH=scripts .venv/bin/python tests/bench/handshakes.py [--connections 1000] [--rounds 3]

Each connection is opened, asks for /livez once, and is closed: without TLS, with a whole handshake,
and with one that the ticket of an earlier connection makes shorter. The server's CPU is what its
threads have run, from Linux's /proc. `cargo build --release` comes first.
"""

import argparse
import socket
import ssl
import statistics
import subprocess
import tempfile
from pathlib import Path

import systems

REQUEST = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
KEYS = {
    "ECDSA P-256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "RSA 2048": ["-newkey", "rsa:2048"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1000, help="connections of a round, of each kind")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the median is shown")
    arguments = parser.parse_args()
    print("| certificate | no TLS, µs | whole, µs | resumed, µs | resumed to whole, beyond no TLS |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name, options in KEYS.items():
            print(row(Path(folder), name, options, arguments), flush=True)


def row(folder: Path, name: str, options: list[str], arguments: argparse.Namespace) -> str:
    certificate, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost", *options]
    command += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    flags = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    # Health is answered without TLS there.
    management = systems.free_port()
    flags += ["--management-listen", f"127.0.0.1:{management}"]
    server = systems.modelship(folder / "log", systems.ROOT / "models", *flags)
    plain = systems.modelship(folder / "plain", systems.ROOT / "models")
    try:
        ready = systems.Server(server.system, server.process, management, server.log, "/readyz")
        ready.wait()
        plain.wait()
        context = ssl.create_default_context(cafile=str(certificate))
        session = ask(server.port, context, None)
        found = {"no TLS": [], "whole": [], "resumed": []}
        for _ in range(arguments.rounds):
            many = arguments.connections
            found["no TLS"].append(cost(plain, many, lambda: ask(plain.port, None, None)))
            found["whole"].append(cost(server, many, lambda: ask(server.port, context, None)))
            found["resumed"].append(cost(server, many, lambda: ask(server.port, context, session)))
    finally:
        server.stop()
        plain.stop()
    none, whole, resumed = (statistics.median(each) for each in found.values())
    ratio = (resumed - none) / (whole - none)
    return f"| {name} | {none:.0f} | {whole:.0f} | {resumed:.0f} | {ratio:.2f} |"


def ask(port: int, context: ssl.SSLContext | None, session: ssl.SSLSession | None) -> ssl.SSLSession | None:
    """Asks on a connection of its own, which resumes `session` where there is one; gives its own."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        if context is None:
            exchange(connection)
            return None
        with context.wrap_socket(connection, server_hostname="localhost", session=session) as wrapped:
            exchange(wrapped)
            if wrapped.session_reused != (session is not None):
                raise systems.ServerFailed("a session was not resumed, or one was that nobody asked for")
            # Not after the end, when there is none.
            return wrapped.session


def exchange(connection: socket.socket) -> None:
    connection.sendall(REQUEST)
    answer = b""
    while piece := connection.recv(4096):
        answer += piece
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise systems.ServerFailed(answer[:200].decode(errors="replace"))


def cost(server: systems.Server, count: int, once) -> float:
    """The server's CPU for one of `count`, in microseconds."""
    before = cpu(server)
    for _ in range(count):
        once()
    return (cpu(server) - before) / count / 1e3


def cpu(server: systems.Server) -> int:
    """What the server's threads have run, in nanoseconds."""
    threads = Path(f"/proc/{server.process.pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads)


if __name__ == "__main__":
    main()
