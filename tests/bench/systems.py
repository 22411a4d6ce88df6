"""The servers that are measured: how each is started, asked whether it is up, and stopped."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent

# How long a server may take to be up, and to end.
PATIENCE = 120

# What cargo has built, and what a server's command is put behind.
PROFILE = "release"
BEFORE: list[str] = []
# How loads and long runs give way: as in a container, but beside much else they would starve.
BACKGROUND = "idle"


@dataclass(frozen=True)
class System:
    """Something that answers requests, and how it is shown."""

    name: str
    title: str
    is_peer: bool = False


BARE = System("bare", "bare axum route")
STOCK = System("stock", "bare axum route under axum::serve")
MODELSHIP = System("modelship", "modelship")
ASYNC = System("fastapi-async", "FastAPI + onnxruntime, async", is_peer=True)
THREADS = System("fastapi-threads", "FastAPI + onnxruntime, threads", is_peer=True)
PLAIN = System("fastapi-plain", "FastAPI + onnxruntime, async, plain uvicorn", is_peer=True)
ENGINE = System("engine", "the engine's own loop")

PEERS = (ASYNC, THREADS, PLAIN)
SERVERS = (BARE, STOCK, MODELSHIP, *PEERS)


class ServerFailed(Exception):
    """A server did not come up, or went away."""


@dataclass
class Server:
    """A process that serves, and where its output goes."""

    system: System
    process: subprocess.Popen
    port: int
    log: Path
    ready: str | None
    stopped: bool = field(default=False, init=False)

    def wait(self) -> None:
        """Waits until the server is ready."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerFailed(f"{self.system.title} ended at its start:\n{self.tail()}")
            if self.answers():
                return
            time.sleep(0.05)
        raise ServerFailed(f"{self.system.title} was not up after {PATIENCE} s:\n{self.tail()}")

    def answers(self) -> bool:
        try:
            if self.ready is None:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            else:
                urlopen(f"http://127.0.0.1:{self.port}{self.ready}", timeout=5).close()
        except (OSError, URLError):
            return False
        return True

    def pids(self) -> list[int]:
        """The process and all below it."""
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found.extend(int(child) for child in task.read_text().split())
        return found

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def stop(self) -> None:
        """Ends the server; by force where it does not end when asked."""
        if self.stopped:
            return
        self.stopped = True
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            for pid in reversed(self.pids()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, 9)
            self.process.wait()


def binary(name: str) -> Path:
    """A program that cargo has built."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / PROFILE
    return target / name if name == "modelship" else target / "examples" / name


def bare(log: Path, *arguments: str) -> Server:
    """The bare route; `arguments` say what it answers to a POST."""
    port = free_port()
    system = STOCK if "--stock" in arguments else BARE
    return start(system, [str(binary("bare")), f"127.0.0.1:{port}", *arguments], port, log)


def modelship(log: Path, repository: Path, *arguments: str) -> Server:
    """modelship as it is in a container: work in the background gives way as it does there."""
    port = free_port()
    command = [*BEFORE, str(binary("modelship")), "serve", "--models", str(repository), "--listen", f"127.0.0.1:{port}"]
    return start(
        MODELSHIP, [*command, "--log-level", "warn", "--background", BACKGROUND, *arguments], port, log, ready="/readyz"
    )


def peer(system: System, log: Path, model: Path) -> Server:
    """FastAPI on uvicorn's fastest parts, with a worker for each processor and no access log.

    The plain one is what `pip install fastapi uvicorn` gives and how it starts: asyncio, h11, and one worker. With
    several, uvicorn's sockets under asyncio lack TCP_NODELAY, and each answer waits 40 ms.
    """
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "peer:app", "--app-dir", str(HERE)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--timeout-keep-alive", "600"]
    command += ["--no-access-log", "--log-level", "warning"]
    if system is PLAIN:
        command += ["--loop", "asyncio", "--http", "h11"]
    else:
        command += ["--loop", "uvloop", "--http", "httptools", "--workers", str(len(os.sched_getaffinity(0)))]
    environment = {"PEER_MODEL": str(model), "PEER_HANDLERS": "threads" if system is THREADS else "async"}
    return start(system, command, port, log, environment, ready="/openapi.json")


def start(
    system: System,
    command: list[str],
    port: int,
    log: Path,
    environment: dict[str, str] | None = None,
    ready: str | None = None,
) -> Server:
    # Settings meant for another modelship would change what is measured.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MODELSHIP_")}
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=inherited | (environment or {}),
            # A group, so that all of it can be ended, but no session: Linux shares processors out by
            # session first, and work of the server's that gives way would not give way to the load.
            # A peer has a session of its own, since what it has left to do when its load ends must not
            # stand before what gives way.
            process_group=None if system.is_peer else 0,
            start_new_session=system.is_peer,
        )
    return Server(system, process, port, log, ready)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
