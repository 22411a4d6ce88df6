#!/usr/bin/env python3
"""What more requests than can be answered do to a service, and a greedy caller to a polite one.

scripts/overload [--seconds 5] [--only CASE,...] [--json FILE] [--short]

Two models of milliseconds, one whose requests are put together and one where nothing can be, are
asked over /predict, /v2 with JSON, and gRPC. In turn: the most that is answered, in a closed loop;
seven tenths of that, as callers come who know nothing of each other; five times that, as they
come; and seven tenths again. Meanwhile health is asked every way there is. The queue holds sixteen
runs, since its length is what those who are accepted wait for.

The service gets one half of the processors and the load the other, where there are two. Exit
status: 0 all bars hold, 1 one does not, 2 wrong use. --short has bars that hold on a busy machine,
for the tests.
"""

import argparse
import http.client
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

import load
import systems
import tensors
from load import Asked
from workloads import JSON, Request

ROOT = Path(__file__).parents[2]

#: How much more than the most is asked for.
TIMES = 5
#: The share of the most that is steady.
STEADY = 0.7
#: Callers at once, when more come than are answered.
CALLERS = 256

#: Requests of one run, and runs that may wait.
BATCH = 8
WAITING = 16

#: The loop's rounds in a run of the model that is not batched, and the layers of the other.
ROUNDS = 1500
LAYERS, WIDTH = 64, 512

HEALTH = ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5, help="how long each load goes on")
    parser.add_argument("--only", help=f"some of the cases: {', '.join([*CASES, GREEDY])}")
    parser.add_argument("--json", type=Path, help="a file for all that was measured")
    parser.add_argument("--short", action="store_true", help="bars for a busy machine, and a debug build")
    arguments = parser.parse_args()
    few = ["single-json", "batched-grpc", GREEDY]
    chosen = arguments.only.split(",") if arguments.only else few if arguments.short else [*CASES, GREEDY]
    if unknown := set(chosen) - {*CASES, GREEDY}:
        parser.error(f"there is no case {', '.join(sorted(unknown))}")
    if arguments.short:
        systems.PROFILE, systems.BACKGROUND = "debug", "nice"
    elif (processors := sorted(os.sched_getaffinity(0)))[1:]:
        half = len(processors) // 2
        os.sched_setaffinity(0, processors[half:])
        systems.BEFORE = ["taskset", "--cpu-list", ",".join(map(str, processors[:half]))]
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        models = repository(scratch)
        flags = ("--watch=off", "--instances=1", "--event-loops=1", "--default-model=single")
        server = systems.modelship(scratch / "log", models, *flags)
        try:
            server.wait()
            found = {name: measure(server, scratch, name, arguments.seconds) for name in chosen if name in CASES}
            greedy = None
            if GREEDY in chosen:
                rounds, of = (1, GREEDY_CASES[:1]) if arguments.short else (3, GREEDY_CASES)
                greedy = {name: measure_greedy(server, scratch, name, rounds, arguments.seconds) for name in of}
        finally:
            server.stop()
    rows = [(name, *row) for name, each in found.items() for row in bars(each, arguments.short)]
    if greedy:
        rows += [(GREEDY, *row) for row in greedy_bars(greedy, arguments.short)]
    print(table(rows))
    broken = [f"{name}: {what}" for name, what, _, _, holds in rows if not holds]
    if arguments.json:
        arguments.json.write_text(json.dumps({"cases": found, GREEDY: greedy, "broken": broken}, indent=1))
    for what in broken:
        print(f"overload: {what}")
    return 1 if broken else 0


# Models


def repository(scratch: Path) -> Path:
    """A repository of the two models."""
    models = scratch / "models"
    single = onnx.load(ROOT / "tests/fixtures/rounds.onnx")
    lay_out(models / "single", single, [float(ROUNDS)], f"max_batch_size = 1\nmax_queue_size = {WAITING}\n")
    room = f"max_batch_size = {BATCH}\nmax_queue_size = {WAITING * BATCH}\n"
    lay_out(models / "batched", layers(), [[1.5]], room)
    return models


def lay_out(folder: Path, model: onnx.ModelProto, row: list, scheduling: str) -> None:
    import models

    case = {
        "one": [tensors.description("x", array := numpy.array(row, numpy.float32)) | {"data": array.ravel().tolist()}]
    }
    settings = f'\n[scheduling]\nplacement = "threads"\n{scheduling}'
    models.lay_out(folder, model, "A model of milliseconds", case, settings)


def layers() -> onnx.ModelProto:
    """A network of wide layers, of which eight rows take little longer than one."""
    generator = numpy.random.default_rng(8)
    weights = (generator.standard_normal((WIDTH, WIDTH)) * (2 / WIDTH) ** 0.5).astype(numpy.float32)
    constants = {
        "first": generator.standard_normal((1, WIDTH)).astype(numpy.float32),
        "weights": weights,
        "last": generator.standard_normal((WIDTH, 1)).astype(numpy.float32) / WIDTH,
    }
    nodes = [helper.make_node("MatMul", ["x", "first"], ["h0"])]
    for at in range(LAYERS):
        nodes.append(helper.make_node("MatMul", [f"h{at}", "weights"], [f"m{at}"]))
        nodes.append(helper.make_node("Relu", [f"m{at}"], [f"h{at + 1}"]))
    nodes.append(helper.make_node("MatMul", [f"h{LAYERS}", "last"], ["y"]))
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1]) for name in "xy"]
    kept = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "layers", value[:1], value[1:], kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


# Cases


@dataclass(frozen=True)
class Case:
    """A model, and how it is asked."""

    model: str
    form: str
    row: list

    def request(self) -> tuple[Request, str | dict]:
        """The request, and how answers are compared."""
        inputs = {"x": numpy.array(self.row, numpy.float32)}
        number = f"{inputs['x'].item():g}"
        match self.form:
            case "predict":
                return Request(f"/predict/{self.model}/{number}", "GET"), "text"
            case "json":
                body = tensors.json_request(inputs)
                return Request(f"/v2/models/{self.model}/infer", headers=JSON, body=body), "text"
            case "grpc":
                body = tensors.grpc_request(self.model, inputs)
                path = "/inference.GRPCInferenceService/ModelInfer"
                return Request(path, body=body, protocol="grpc"), {"floats": 4}
        raise ValueError(self.form)

    def most_at_once(self) -> int:
        """So many callers fill every run and are never refused."""
        return WAITING * (1 if self.model == "single" else BATCH)

    def asked(self, server: systems.Server, scratch: Path) -> Asked:
        request, compare = self.request()
        body = None
        if request.body is not None:
            body = scratch / f"{self.model}-{self.form}.body"
            body.write_bytes(request.body)
        answer = scratch / f"{self.model}-{self.form}.answer"
        answer.write_bytes(Asked(server, request, body).first(scratch).body)
        return Asked(server, request, body, (answer,), compare)


ROWS = {"single": [float(ROUNDS)], "batched": [[1.5]]}
CASES = {
    f"{model}-{form}": Case(model, form, row) for model, row in ROWS.items() for form in ("predict", "json", "grpc")
}
GREEDY = "greedy"
GREEDY_CASES = ("single-predict", "batched-json", "single-grpc")


def measure(server: systems.Server, scratch: Path, name: str, seconds: float) -> dict:
    case = CASES[name]
    asked = case.asked(server, scratch)

    def under(**how) -> dict:
        say(name, how)
        return load.run(asked.plan(**({"warm_up": 0.3, "seconds": seconds} | how)))

    def closed() -> dict:
        return under(connections=case.most_at_once())

    peak = closed()
    most = peak["throughput"]
    steady = under(connections=CALLERS, rate=STEADY * most, random=True)
    with Health(server.port) as health:
        over = under(connections=CALLERS, rate=TIMES * most, random=True)
    # What is measured begins a second after.
    after = under(connections=CALLERS, rate=STEADY * most, random=True, warm_up=1)
    # The machine may have become faster or slower meanwhile.
    again = closed()
    return {
        "peak": peak,
        "steady": steady,
        "over": over,
        "after": after,
        "again": again,
        "health_ms": health.worst_ms,
        "health_asked": health.asked,
        "health_wrong": health.wrong,
    }


@dataclass
class Health:
    """Asks for health, every way that there is, until the end of the block."""

    port: int
    worst_ms: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    asked: int = 0

    def __enter__(self) -> "Health":
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.ask)
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        self.thread.join()

    def ask(self) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            grpc.channel_ready_future(channel).result(60)
            while True:
                for path in HEALTH:
                    self.timed(path, lambda path=path: self.get(path) == 200)
                # A message without a service's name, and the status SERVING.
                self.timed("grpc.health", lambda: check(b"", timeout=60) == b"\x08\x01")
                self.asked += 1
                if self.over.wait(0.02):
                    return

    def get(self, path: str) -> int:
        # As a probe does it: on a connection of its own.
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def timed(self, what: str, asks) -> None:
        start = time.monotonic()
        try:
            if not asks():
                self.wrong.append(f"{what}: not healthy")
        except (OSError, http.client.HTTPException, grpc.RpcError) as error:
            self.wrong.append(f"{what}: {error!r}")
        took = (time.monotonic() - start) * 1e3
        self.worst_ms[what] = max(took, self.worst_ms.get(what, 0))


def measure_greedy(server: systems.Server, scratch: Path, name: str, rounds: int, seconds: float) -> list[dict]:
    """A polite caller of another address: alone, and beside one that keeps 256 connections busy."""
    asked = CASES[name].asked(server, scratch)
    polite = {"from": "127.0.0.2", "connections": 1, "warm_up": 0.3, "seconds": seconds}
    found = []
    for _ in range(rounds):
        say(f"greedy, {name}", polite)
        alone = load.run(asked.plan(**polite))
        other = load.start(asked.plan(connections=CALLERS, seconds=seconds + 60, until_closed=True))
        try:
            time.sleep(0.5)
            beside = load.run(asked.plan(**polite))
        finally:
            greedy = load.finish(other)
        found.append({"alone": alone, "beside": beside, "greedy": greedy})
    return found


# Bars


def bars(found: dict, is_short: bool) -> list[tuple[str, str, str, bool]]:
    """What was measured, with its bar: a name, the bar, the figure, and whether it holds."""
    peak = max(found[which]["throughput"] for which in ("peak", "again"))
    steady, over, after = (found[which] for which in ("steady", "over", "after"))
    p99 = [each["latency_us"]["p99"] / 1e3 for each in (steady, over, after)]
    refused = {status for status in over["statuses"] if status != "200"}
    counted = sum(over["statuses"].get(status, 0) for status in refused)
    share = over["throughput"] / peak
    refused_p99 = (over["refused_us"] or {"p99": 0})["p99"] / 1e3 if "refused_us" in over else 0.0
    worst = max(found["health_ms"].values(), default=float("inf"))
    failures = [each["failures"] for each in (found["peak"], steady, over, after, found["again"]) if each["failures"]]
    wrong = sum(each["wrong"] for each in (steady, over, after))
    late = sum(count for status, count in after["statuses"].items() if status != "200")
    rows = [
        ("the most, a second", "", f"{peak:.0f}", True),
        ("offered, a second", "", f"{(counted + over['requests']) / over['seconds']:.0f}", True),
        ("answered to the most", *least(share, None if is_short else 0.9)),
        ("steady p99, ms", "", f"{p99[0]:.1f}", True),
        ("accepted p99 to steady", *most(p99[1] / p99[0], None if is_short else 5)),
        (
            "other statuses",
            "429, or 8",
            ", ".join(sorted(refused)) or "none",
            refused <= {"429", "8"} and bool(refused),
        ),
        ("refused p99, ms", *most(refused_p99, None if is_short else 100)),
        ("health, worst of " + str(found["health_asked"]) + ", ms", *most(worst, 10_000 if is_short else 100)),
        ("health, wrong", *most(len(found["health_wrong"]), 0)),
        ("a second later: refused", *most(late, None if is_short else 0)),
        ("a second later: p99 to steady", *most(p99[2] / p99[0], None if is_short else 2)),
        ("failed or wrong", "none", f"{failures or wrong or 'none'}", not failures and not wrong),
    ]
    return rows


def greedy_bars(found: dict, is_short: bool) -> list[tuple[str, str, str, bool]]:
    rows = []
    for name, rounds in found.items():
        ratio = [each["beside"]["latency_us"]["p99"] / each["alone"]["latency_us"]["p99"] for each in rounds]
        middle = [each["beside"]["latency_us"]["p50"] / each["alone"]["latency_us"]["p50"] for each in rounds]
        refused = sum(n for each in rounds for status, n in each["beside"]["statuses"].items() if status != "200")
        failures = [each[who]["failures"] for each in rounds for who in each if each[who]["failures"]]
        rows += [
            (f"{name}: polite p50 to alone", *most(statistics.median(middle), None)),
            (f"{name}: polite p99 to alone", *most(statistics.median(ratio), None if is_short else 25)),
            (f"{name}: polite refused", *most(refused, 0)),
            (f"{name}: failed", "none", f"{failures or 'none'}", not failures),
        ]
    return rows


def most(figure: float, bar: float | None) -> tuple[str, str, bool]:
    return ("" if bar is None else f"≤ {bar:g}", f"{figure:.3g}", bar is None or figure <= bar)


def least(figure: float, bar: float | None) -> tuple[str, str, bool]:
    return ("" if bar is None else f"≥ {bar:g}", f"{figure:.3g}", bar is None or figure >= bar)


def table(rows: list[tuple]) -> str:
    lines = ["| case | what | bar | measured | |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {what} | {bar} | {figure} | {'' if holds else 'missed'} |"
        for name, what, bar, figure, holds in rows
    ]
    return "\n".join(lines)


def say(what: str, how: dict) -> None:
    told = " ".join(f"{name}={value:g}" for name, value in how.items() if isinstance(value, float | int))
    print(f"overload: {what}: {told}", file=sys.stderr)


if __name__ == "__main__":
    if shutil.which("taskset") is None:
        sys.exit("overload: taskset (util-linux) is missing")
    sys.exit(main())
