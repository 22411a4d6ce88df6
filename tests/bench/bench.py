"""Measures modelship against its limits and against what a user would pick instead.

usage: scripts/bench [--quick] [--only NAME,...] [--rounds N] [--seconds S] [--out FOLDER] [--publish]
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import figures
import interference
import models
import plot
import report
import swaps
from load import Refused
from measure import Effort, Matrix
from progress import Progress
from systems import ROOT, SERVERS, ServerFailed
from workloads import WORKLOADS, Workload

HERE = Path(__file__).parent
ALL = (*WORKLOADS, "swaps", "pair")

# The cells that the figures to reach need, and no others.
QUICK = {
    ("linear", "get", 1),
    ("linear", "get", 32),
    ("trees", "rows", 128),
    ("trees", "binary", 128),
    ("resnet50", "binary", 8),
}


def main() -> int:
    arguments = parse()
    out = arguments.out.resolve()
    scratch = out / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    repositories = out / "models"
    print("bench: making the models that are not there yet", file=sys.stderr)
    models.make(repositories)
    idle = idle_share()
    if idle < 0.9:
        print(f"bench: the machine is only {idle:.0%} idle: its figures will be of little worth", file=sys.stderr)

    effort = Effort(arguments.rounds, arguments.seconds, arguments.warm_up, arguments.connections)
    chosen = [
        workload
        for workload in WORKLOADS.values()
        if workload.name in arguments.only
        and any(wanted(arguments.quick)(workload, form, n) for form in workload.forms for n in effort.connections)
    ]
    rates = [swaps.RATE] if arguments.quick else [swaps.RATE, None]
    progress = Progress(cost(arguments, effort, chosen, rates))
    record = {
        "date": report.date(),
        "machine": report.machine() | {"idle_before": round(idle, 3)},
        "versions": report.versions(),
        "quick": arguments.quick,
        "effort": {"rounds": effort.rounds, "seconds": effort.seconds, "warm_up": effort.warm_up},
    }
    matrix = Matrix(effort, repositories, scratch, progress)
    for workload in chosen:
        matrix.add(workload, wanted(arguments.quick))
    swapped = []
    if "swaps" in arguments.only:
        for rate in rates:
            steady = effort.seconds * (4 if arguments.quick else 8)
            swapped.append(swaps.measure(scratch, arguments.swaps, steady, rate, progress))
    pair = None
    if "pair" in arguments.only:
        seconds = effort.seconds * 1.5
        pair = interference.measure(repositories, scratch, effort.rounds, seconds, progress)
    progress.end()

    reached = figures.all_of(matrix if chosen else None, swapped, pair)
    record |= {
        "figures": [vars(figure) | {"reaches": figure.verdict()} for figure in reached],
        "cells": matrix.table(),
        "engine": matrix.engine,
        "swaps": swapped,
        "pair": pair,
        "left_out": matrix.left_out,
    }
    write(out, record, matrix, reached, arguments.publish)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures modelship against the bare HTTP stack, the engine's own loop, and FastAPI.",
        epilog="Load goes to loopback only. Other work on the machine spoils the figures.",
    )
    parser.add_argument("--quick", action="store_true", help="under two minutes: only what the figures to reach need")
    parser.add_argument("--only", type=names, default=ALL, metavar="NAME,...", help=f"some of: {', '.join(ALL)}")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that alternate between the servers (3)")
    parser.add_argument("--seconds", type=float, help="counted seconds of one measurement (1.5; quick: 0.5)")
    parser.add_argument("--swaps", type=int, help="swaps under load (100; quick: 20)")
    parser.add_argument("--out", type=Path, default=ROOT / "target" / "bench", help="where results go (target/bench)")
    parser.add_argument("--publish", action="store_true", help="also write tests/bench/README.md and its plot anew")
    arguments = parser.parse_args()
    if arguments.publish and (arguments.quick or set(arguments.only) != set(ALL)):
        parser.error("--publish needs a full run: leave out --quick and --only")
    arguments.seconds = arguments.seconds or (0.5 if arguments.quick else 1.5)
    arguments.swaps = arguments.swaps or (20 if arguments.quick else 100)
    arguments.warm_up = 0.2 if arguments.quick else 0.5
    arguments.connections = (1, 8, 32, 128)
    return arguments


def names(text: str) -> tuple[str, ...]:
    chosen = tuple(text.split(","))
    if unknown := set(chosen) - set(ALL):
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(ALL)}")
    return chosen


def wanted(quick: bool):
    """Which cells are measured."""

    def of(workload: Workload, form: str, connections: int) -> bool:
        return not quick or (workload.name, form, connections) in QUICK

    return of


def cost(arguments, effort: Effort, chosen: list[Workload], rates: list) -> float:
    """About how many seconds all of it takes."""
    total = 0.0
    for workload in chosen:
        cells = sum(wanted(arguments.quick)(workload, form, n) for form in workload.forms for n in effort.connections)
        # Not every server takes every form: two of four do on average, beside the engine.
        total += effort.rounds * (cells * len(SERVERS) * 0.7 + 1) * effort.cost(workload.patience)
    if "swaps" in arguments.only:
        total += len(rates) * arguments.swaps * 0.3
    if "pair" in arguments.only:
        total += effort.rounds * 2 * 2 * (effort.seconds * 1.5 + 0.4)
    return total


def idle_share() -> float:
    """How much of the machine was idle for a second."""

    def read() -> list[int]:
        return [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]

    before = read()
    time.sleep(1)
    spent = [b - a for a, b in zip(before, read(), strict=True)]
    return (spent[3] + spent[4]) / max(sum(spent[:8]), 1)


def write(out: Path, record: dict, matrix: Matrix, reached: list, publish: bool) -> None:
    results = out / "results.json"
    results.write_text(json.dumps(record, indent=1, default=str) + "\n")
    print(report.text(matrix))
    for sentence in record["left_out"]:
        print(f"left out: {sentence}")
    print(f"\n{report.caption(record)}\n\n{report.figures_text(reached)}\n\n{results}")
    if matrix.rounds.keys() & {cell for cell in matrix.rounds if cell.workload == "linear"}:
        picture = out / "plot.svg"
        picture.write_text(plot.plot(matrix, record))
        print(picture)
        if publish:
            (HERE / "plot.svg").write_text(picture.read_text())
            (HERE / "results.json").write_text(results.read_text())
            insert(HERE / "README.md", report.published(matrix, reached, record))


def insert(path: Path, content: str) -> None:
    """Puts `content` between the marks in the file at `path`."""
    start, end = "<!-- results -->\n", "<!-- /results -->"
    before, _, rest = path.read_text().partition(start)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{start}\n{content}\n\n{end}{after}")


if __name__ == "__main__":
    # ONNX Runtime's official builds phone home otherwise.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    try:
        sys.exit(main())
    except (Refused, ServerFailed) as failure:
        sys.exit(f"\nbench: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
