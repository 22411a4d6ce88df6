"""Measures every server at every workload, in rounds that alternate between them."""

import json
import statistics
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import systems
import workloads
from load import Asked, Refused, faults, run
from systems import BARE, ENGINE, MODELSHIP, PEERS, PLAIN, SERVERS, STOCK, Server, System
from workloads import FORMS, Workload


@dataclass(frozen=True)
class Cell:
    """What is measured at once: one server, one request, one number of connections."""

    workload: str
    form: str
    connections: int
    system: str


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rounds: int
    seconds: float
    warm_up: float
    connections: tuple[int, ...]

    def cost(self, patience: float = 1.0) -> float:
        """Seconds that one measurement takes."""
        return self.seconds * patience + self.warm_up + 0.05


#: Fewer answers say nothing of a server.
FEW = 10

Wanted = Callable[[Workload, str, int], bool]


class Matrix:
    """The figures of every cell in every round."""

    def __init__(self, effort: Effort, models: Path, scratch: Path, progress):
        self.effort = effort
        self.models = models
        self.scratch = scratch
        self.progress = progress
        self.rounds: dict[Cell, list[dict]] = {}
        self.engine: dict[str, dict] = {}
        self.left_out: list[str] = []

    def add(self, workload: Workload, wanted: Wanted) -> None:
        """Measures `workload`: all its servers are up at once, and asked in turn."""
        inputs, expected = workload.tensors(self.models)
        with ExitStack() as stack:
            servers = self.start(workload, stack)
            asked: dict[tuple[str, str], Asked] = {}
            for form in workload.forms:
                if not any(wanted(workload, form, n) for n in self.effort.connections):
                    continue
                self.ask(workload, form, servers, inputs, expected, asked, stack)
            best = self.best_of_engine(workload)
            for _ in range(self.effort.rounds):
                self.round(workload, wanted, asked, best)

    def start(self, workload: Workload, stack: ExitStack) -> dict[System, Server]:
        """Starts the servers, except the bare route, which needs answers first."""
        self.progress.say(f"{workload.name}: starting the servers")
        folder = workload.folder(self.models)
        log = self.scratch / workload.name
        servers = {MODELSHIP: systems.modelship(Path(f"{log}-modelship.log"), folder.parent, "--watch", "off")}
        for system in PEERS:
            if any(serves(system, workload, form) for form in workload.forms):
                servers[system] = systems.peer(system, Path(f"{log}-{system.name}.log"), folder)
        for server in servers.values():
            stack.callback(server.stop)
        for server in servers.values():
            server.wait()
        return servers

    def ask(self, workload, form, servers, inputs, expected, asked, stack: ExitStack) -> None:
        """Finds out what each server answers in `form`, and whether that is right."""
        for system in servers:
            if not serves(system, workload, form):
                continue
            request = workloads.request(form, workload.name, inputs, system.is_peer)
            stem = self.scratch / f"{workload.name}-{form}-{system.name}"
            body = None
            if request.body is not None:
                body = Path(f"{stem}.request")
                body.write_bytes(request.body)
            first = Asked(servers[system], request, body)
            try:
                answer = first.first(self.scratch)
                found = workloads.outputs(form, answer.body, answer.headers, expected, system.is_peer)
                wrong = workloads.difference(found, expected)
            except (Refused, KeyError, ValueError) as error:
                self.leave_out(f"{system.title}, {workload.name}, {FORMS[form]}: {error}")
                continue
            if wrong:
                raise Refused(f"{system.title}, {workload.name}, {FORMS[form]}: {wrong}")
            known = Path(f"{stem}.answer")
            known.write_bytes(answer.body)
            compare = workloads.comparison(form, expected, system.is_peer)
            asked[form, system.name] = Asked(servers[system], request, body, (known,), compare)
            if system is MODELSHIP:
                for bare in filter(lambda bare: serves(bare, workload, form), (BARE, STOCK)):
                    asked[form, bare.name] = self.bare(bare, form, asked[form, system.name], answer.headers, stack)

    def bare(self, system: System, form: str, like: Asked, headers: dict[str, str], stack: ExitStack) -> Asked:
        """The bare route, which gives the same answer to the same request."""
        arguments = ["--answer", str(like.answers[0])]
        if form == "grpc":
            arguments.append("--grpc")
        elif "content-type" in headers:
            arguments += ["--content-type", headers["content-type"]]
        if system is STOCK:
            arguments.append("--stock")
        server = systems.bare(Path(f"{like.answers[0]}-{system.name}.log"), *arguments)
        stack.callback(server.stop)
        server.wait()
        return Asked(server, like.request, like.body, like.answers, like.compare)

    def best_of_engine(self, workload: Workload) -> dict:
        """The setting in which the engine's own loop gives the most rows a second."""
        self.progress.say(f"{workload.name}: looking for the engine's best setting")
        seconds = min(0.3, self.effort.seconds / 4) * workload.patience
        tried = self.loop(workload, "--seconds", str(seconds))
        best = max(tried, key=lambda setting: setting["rows_per_second"])
        self.engine[workload.name] = {"tried": tried, "best": best}
        return best

    def loop(self, workload: Workload, *arguments: str) -> list[dict]:
        folder = workload.folder(self.models)
        case = folder / "cases" / f"{workload.case}.json"
        command = [str(systems.binary("engine")), str(folder / "model.onnx"), str(case), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise Refused(f"the engine's loop over {workload.name} failed: {done.stderr.strip()}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def round(self, workload: Workload, wanted: Wanted, asked: dict, best: dict) -> None:
        seconds = self.effort.seconds * workload.patience
        setting = [f"--{name}={best[name]}" for name in ("instances", "intra", "batch")]
        (measured,) = self.loop(workload, f"--seconds={seconds}", *setting)
        self.note(Cell(workload.name, "", 0, ENGINE.name), measured)
        self.progress.step(self.effort.cost(workload.patience))
        for form in workload.forms:
            for connections in self.effort.connections:
                if not wanted(workload, form, connections):
                    continue
                for system in SERVERS:
                    if (form, system.name) not in asked:
                        continue
                    self.progress.say(f"{workload.name}, {FORMS[form]}, {connections} connections: {system.title}")
                    cell = Cell(workload.name, form, connections, system.name)
                    self.note(cell, self.counted(cell, asked[form, system.name], seconds))
                    self.progress.step(self.effort.cost(workload.patience))

    def counted(self, cell: Cell, asked: Asked, seconds: float) -> dict:
        """The figures of `cell`: of a longer time where a server gives few answers in `seconds`.

        One that runs forty images at once gives its first answers together, after more than a second.
        """
        for longer in (1, 4, 16):
            outcome = run(
                asked.plan(connections=cell.connections, warm_up=self.effort.warm_up, seconds=seconds * longer)
            )
            if fault := faults(outcome):
                raise Refused(f"{cell}: {fault}")
            if outcome["requests"] >= FEW:
                return outcome
        raise Refused(f"{cell}: {outcome['requests']} answers in {outcome['seconds']:.1f} s")

    def note(self, cell: Cell, figures: dict) -> None:
        self.rounds.setdefault(cell, []).append(figures)

    def leave_out(self, sentence: str) -> None:
        if sentence not in self.left_out:
            self.left_out.append(sentence)

    def median(self, cell: Cell, *path: str) -> float | None:
        """The median over the rounds of a figure of `cell`."""
        values = [reach(figures, path) for figures in self.rounds.get(cell, [])]
        return statistics.median(values) if values else None

    def ratio(self, cell: Cell, to: Cell, *path: str, over: tuple[str, ...] | None = None) -> float | None:
        """The median of the ratios within each round: what slows a round slows both."""
        pairs = zip(self.rounds.get(cell, []), self.rounds.get(to, []), strict=False)
        ratios = [reach(a, path) / reach(b, over or path) for a, b in pairs if reach(b, over or path)]
        return statistics.median(ratios) if ratios else None

    def table(self) -> list[dict]:
        """Every cell with its medians, for the report."""
        rows = []
        for cell, figures in self.rounds.items():
            row = asdict(cell) | {"rounds": figures}
            if cell.system != ENGINE.name:
                row["median"] = {
                    name: self.median(cell, *path)
                    for name, path in {
                        "throughput": ("throughput",),
                        "p50_us": ("latency_us", "p50"),
                        "p99_us": ("latency_us", "p99"),
                        "server_cpu_us": ("server_cpu_us",),
                        "load_cpu_us": ("load_cpu_us",),
                        "resident_kib": ("resident_kib",),
                    }.items()
                }
            else:
                row["median"] = {"rows_per_second": self.median(cell, "rows_per_second")}
            rows.append(row)
        return rows


def serves(system: System, workload: Workload, form: str) -> bool:
    """Whether `system` is asked in `form`: the peers have no protocol, and two are there for one figure."""
    if system in (PLAIN, STOCK):
        return form == "get"
    return not system.is_peer or form in ("get", "rows") or (workload.name, form) == ("resnet50", "binary")


def reach(figures: dict, path: tuple[str, ...]) -> float:
    for name in path:
        figures = figures[name]
    return figures
