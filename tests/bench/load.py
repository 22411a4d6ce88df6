"""Puts load on a server by way of the load generator, and gives its figures."""

import json
import subprocess
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from systems import Server, binary
from workloads import Request


class Refused(Exception):
    """A server does not answer a request as it should."""


@dataclass(frozen=True)
class Answer:
    """The first answer to a request."""

    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Asked:
    """A request to a server, whose answers are known."""

    server: Server
    request: Request
    body: Path | None
    answers: tuple[Path, ...] = ()
    compare: str | dict = "exact"

    def plan(self, **more) -> dict:
        return {
            "target": f"127.0.0.1:{self.server.port}",
            "protocol": self.request.protocol,
            "method": self.request.method,
            "path": self.request.path,
            "headers": list(self.request.headers.items()),
            "body": str(self.body) if self.body else None,
            "answers": [str(path) for path in self.answers],
            "compare": self.compare,
            "pids": self.server.pids(),
            **more,
        }

    def first(self, scratch: Path) -> Answer:
        """Sends the request once."""
        if self.request.protocol == "grpc":
            return self.first_call(scratch)
        connection = HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            body = self.body.read_bytes() if self.body else None
            connection.request(self.request.method, self.request.path, body, self.request.headers)
            response = connection.getresponse()
            answer = Answer(response.read(), {name.lower(): value for name, value in response.getheaders()})
        finally:
            connection.close()
        if response.status != 200:
            raise Refused(f"{response.status}: {answer.body[:200].decode(errors='replace')}")
        return answer

    def first_call(self, scratch: Path) -> Answer:
        record = scratch / "record"
        record.unlink(missing_ok=True)
        outcome = run(self.plan(answers=[], connections=1, seconds=60, requests=1, record=str(record)))
        if not record.exists():
            raise Refused(f"gRPC: {outcome['failures'] or outcome['statuses']}")
        return Answer(record.read_bytes(), {})


def start(plan: dict, nice: int = 0) -> subprocess.Popen:
    """Starts the load of `plan`."""
    process = subprocess.Popen(
        ["nice", "-n", str(nice), str(binary("load"))] if nice else [str(binary("load"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    process.stdin.write(json.dumps(plan) + "\n")
    process.stdin.flush()
    return process


def finish(process: subprocess.Popen) -> dict:
    """Waits for the end of a load, which closing its input may hasten."""
    out, err = process.communicate(timeout=700)
    if process.returncode != 0:
        raise Refused(f"the load generator failed: {err.strip()}")
    return json.loads(out)


def run(plan: dict) -> dict:
    return finish(start(plan))


def faults(outcome: dict) -> str | None:
    """What went wrong under a load, if anything did."""
    found = []
    if outcome["wrong"]:
        found.append(f"{outcome['wrong']} wrong answers, such as {outcome['wrong_example'][:200]}")
    refused = {status: count for status, count in outcome["statuses"].items() if status != "200"}
    if refused:
        found.append(f"answers of other status: {refused}")
    if outcome["failures"]:
        found.append(f"failures: {outcome['failures']}")
    return "; ".join(found) or None
