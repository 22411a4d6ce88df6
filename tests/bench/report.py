"""What a run found, as text, as Markdown and as JSON."""

import datetime
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

import onnxruntime

from figures import Figure, of_limit
from measure import Cell, Matrix
from systems import ASYNC, MODELSHIP, ROOT, SERVERS
from workloads import FORMS, WORKLOADS


def machine() -> dict:
    """The machine that the figures are of."""
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.*)", info.read_text()) if info.exists() else None
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    return {
        "cpu": model[1] if model else platform.machine(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory[1]) / 2**20),
        "kernel": platform.release(),
    }


def versions() -> dict:
    """The versions of what was measured."""

    def said(*command: str) -> str:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    packages = ("fastapi", "uvicorn", "uvloop", "httptools", "numpy")
    changed = "+" if said("git", "status", "--porcelain", "--untracked-files=no") else ""
    return {
        "modelship": said("git", "rev-parse", "--short", "HEAD") + changed,
        "rustc": said("rustc", "--version").split()[1],
        "onnxruntime": onnxruntime.__version__,
        "python": platform.python_version(),
    } | {name: importlib.metadata.version(name) for name in packages}


def date() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def caption(record: dict) -> str:
    """The machine, the date and the versions, in a sentence."""
    host, each = record["machine"], record["versions"]
    return (
        f"{record['date']}, {host['processors']} processors of {host['cpu']}, load generator on the same; "
        f"modelship {each['modelship']}, ONNX Runtime {each['onnxruntime']}, FastAPI {each['fastapi']}, "
        f"uvicorn {each['uvicorn']} with uvloop {each['uvloop']}, Python {each['python']}"
    )


HEADINGS = ("connections", "server", "requests/s", "p50 µs", "p99 µs", "CPU µs/request", "MiB", "of limit", "to peer")


def rows(matrix: Matrix, workload: str, form: str) -> list[tuple[str, ...]]:
    """The rows of one table: each server at each number of connections."""
    found = []
    for connections in matrix.effort.connections:
        for system in SERVERS:
            cell = Cell(workload, form, connections, system.name)
            if cell not in matrix.rounds:
                continue
            limit = peer = "-"
            if system is MODELSHIP:
                # One connection leaves nothing to batch and one processor idle: there the limit is no limit.
                share, _ = of_limit(matrix, workload, form, connections)
                limit = f"{share:.2f}" if share and connections > 1 else "-"
                ratio = matrix.ratio(cell, Cell(workload, form, connections, ASYNC.name), "throughput")
                peer = f"{ratio:.1f} x" if ratio else "-"
            figures = (
                ("throughput",),
                ("latency_us", "p50"),
                ("latency_us", "p99"),
                ("server_cpu_us",),
            )
            numbers = [number(matrix.median(cell, *path)) for path in figures]
            memory = number(matrix.median(cell, "resident_kib") / 1024)
            found.append((str(connections), system.title, *numbers, memory, limit, peer))
    return found


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def text(matrix: Matrix) -> str:
    """Every table, for a terminal."""
    parts = []
    for workload in WORKLOADS.values():
        for form in workload.forms:
            lines = rows(matrix, workload.name, form)
            if lines:
                title = f"{workload.name} ({workload.what}), {FORMS[form]}"
                parts.append(f"{title}\n{aligned([HEADINGS, *lines])}")
        best = matrix.engine.get(workload.name, {}).get("best")
        if best:
            parts.append(f"{workload.name}: {engine(matrix, workload.name)}")
    return "\n\n".join(parts)


def engine(matrix: Matrix, workload: str) -> str:
    """The engine's own loop, in a sentence."""
    best = matrix.engine[workload]["best"]
    rows_per_second = matrix.median(Cell(workload, "", 0, "engine"), "rows_per_second")
    return (
        f"the engine's own loop gives {number(rows_per_second)} rows/s at best, in batches of {best['batch']} "
        f"on {best['instances']} instances of {best['intra']} threads"
    )


def aligned(lines: list[tuple[str, ...]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 1 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def markdown(headings: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    marks = ["---" if heading == "server" or heading == "figure" else "---:" for heading in headings]
    return "\n".join("| " + " | ".join(line) + " |" for line in (headings, marks, *lines))


def figure_rows(found: list[Figure]) -> list[tuple[str, ...]]:
    def limit(figure: Figure, value: float) -> str:
        return f"{'≤' if figure.at_most else '≥'} {shown(figure, value)}"

    return [
        (
            figure.what,
            limit(figure, figure.bar),
            limit(figure, figure.moonshot),
            "-" if figure.measured is None else shown(figure, figure.measured),
            figure.verdict(),
        )
        for figure in found
    ]


def shown(figure: Figure, value: float) -> str:
    """A value of a figure; where the bar is a fraction of one, as such."""
    if figure.at_most and 0 < figure.bar < 0.5 and value:
        return f"1/{1 / value:.1f}".removesuffix(".0")
    return f"{value:.3f}".rstrip("0").rstrip(".")


FIGURE_HEADINGS = ("figure", "bar", "moonshot", "measured", "reaches")


def figures_text(found: list[Figure]) -> str:
    lines = [FIGURE_HEADINGS, *figure_rows(found)]
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    shown = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    for place, figure in enumerate(found, start=1):
        if figure.note:
            shown[place] += f"\n    {figure.note}"
    return "\n".join(shown)


def published(matrix: Matrix, found: list[Figure], record: dict) -> str:
    """The part of tests/bench/README.md that a run writes."""
    picture = "![modelship, the bare HTTP stack, and FastAPI with onnxruntime compared](plot.svg)"
    parts = [picture, f"{caption(record)}.", markdown(FIGURE_HEADINGS, figure_rows(found))]
    for workload in WORKLOADS.values():
        tables = [(form, rows(matrix, workload.name, form)) for form in workload.forms]
        if not any(lines for _, lines in tables):
            continue
        parts.append(f"### {workload.what[0].upper()}{workload.what[1:]}")
        parts.append(f"{engine(matrix, workload.name)[0].upper()}{engine(matrix, workload.name)[1:]}.")
        for form, lines in tables:
            if lines:
                parts.append(f"{FORMS[form]}:\n\n{markdown(HEADINGS, lines)}")
    return "\n\n".join(parts)
