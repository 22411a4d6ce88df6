"""The plot that the README shows: an SVG that follows the reader's light or dark colours."""

from html import escape

import report
from figures import of_limit
from measure import Cell, Matrix
from systems import ASYNC, BARE, MODELSHIP, PLAIN, SERVERS, STOCK, THREADS
from workloads import WORKLOADS

WIDTH, HEIGHT = 880, 560
CLASSES = {BARE.name: "limit", STOCK.name: "stock", MODELSHIP.name: "ours"}
CLASSES |= {ASYNC.name: "peer", THREADS.name: "other", PLAIN.name: "plain"}
SHORT = {
    BARE.name: "bare axum",
    STOCK.name: "axum::serve",
    MODELSHIP.name: "modelship",
    ASYNC.name: "FastAPI async",
    THREADS.name: "FastAPI threads",
    PLAIN.name: "plain uvicorn",
}

# Plain rules rather than variables, which not every viewer of SVG knows.
LIGHT = {"paper": "#ffffff", "ink": "#1f2328", "quiet": "#59636e", "line": "#d1d9e0"}
LIGHT |= {
    "ours": "#0969da",
    "limit": "#8c959f",
    "peer": "#bc4c00",
    "other": "#d4a72c",
    "plain": "#8250df",
    "stock": "#4d8f6f",
}
DARK = {"paper": "#0d1117", "ink": "#f0f6fc", "quiet": "#9198a1", "line": "#3d444d"}
DARK |= {
    "ours": "#4493f8",
    "limit": "#6e7681",
    "peer": "#db6d28",
    "other": "#d29922",
    "plain": "#ab7df8",
    "stock": "#57ab7f",
}


def style() -> str:
    def colours(of: dict[str, str]) -> str:
        fills = (f".{name} {{ fill: {colour}; }}" for name, colour in of.items())
        strokes = (f".{name}-line {{ stroke: {colour}; fill: none; }}" for name, colour in of.items())
        return "\n".join((*fills, *strokes))

    return f"""
text {{ font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }}
.title {{ font-size: 14px; font-weight: 600; }}
.small {{ font-size: 11px; }}
.value {{ font-weight: 600; }}
.end {{ text-anchor: end; }}
.middle {{ text-anchor: middle; }}
{colours(LIGHT)}
@media (prefers-color-scheme: dark) {{
{colours(DARK)}
}}
"""


def plot(matrix: Matrix, record: dict) -> str:
    """The plot of a run that has measured at least `/predict/21` at 32 connections."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="name">',
        '<title id="name">modelship, the bare HTTP stack, and FastAPI with onnxruntime compared</title>',
        f"<style>{style()}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" class="paper"/>',
        *cpu(matrix, 24, 20),
        *throughput(matrix, 460, 20),
        *shares(matrix, 24, 300),
        *caption(record),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def label(x: float, y: float, content: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind or "ink"}">{escape(content)}</text>'


def bar(x: float, y: float, width: float, height: float, system: str) -> str:
    size = f'width="{max(width, 1):.1f}" height="{height:.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} rx="2" class="{CLASSES[system]}"/>'


def cpu(matrix: Matrix, x: float, y: float) -> list[str]:
    """Server CPU for each request."""
    found = {system.name: matrix.median(Cell("linear", "get", 32, system.name), "server_cpu_us") for system in SERVERS}
    largest = max(value for value in found.values() if value)
    parts = [
        label(x, y + 14, "Server CPU for one request", "title ink"),
        label(x, y + 32, "GET /predict/21, 32 connections, µs: less is better", "quiet small"),
    ]
    for place, (system, value) in enumerate(found.items()):
        if value is None:
            continue
        top = y + 52 + place * 36
        length = 250 * value / largest
        parts += [
            label(x, top + 16, SHORT[system]),
            bar(x + 100, top, length, 24, system),
            label(x + 106 + length, top + 16, report.number(value), "value ink"),
        ]
    return parts


def throughput(matrix: Matrix, x: float, y: float) -> list[str]:
    """Requests a second by connections, on a logarithmic scale."""
    import math

    connections = matrix.effort.connections
    lines = {
        system.name: [
            (n, matrix.median(Cell("linear", "get", n, system.name), "throughput"))
            for n in connections
            if Cell("linear", "get", n, system.name) in matrix.rounds
        ]
        for system in SERVERS
    }
    values = [value for line in lines.values() for _, value in line]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    left, width, top, height = x + 44, 250, y + 48, 180

    def at(n: int, value: float) -> tuple[float, float]:
        across = connections.index(n) / max(len(connections) - 1, 1)
        return left + across * width, top + height * (1 - (math.log10(value) - low) / (high - low))

    parts = [
        label(x, y + 14, "Requests a second", "title ink"),
        label(x, y + 32, "GET /predict/21 by connections: more is better", "quiet small"),
    ]
    for power in range(low, high + 1):
        _, line = at(connections[0], 10**power)
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{line:.1f}" y2="{line:.1f}" class="line-line"/>')
        parts.append(label(left - 6, line + 4, f"{10**power:,}", "quiet small end"))
    for n in connections:
        across, _ = at(n, 10**low)
        parts.append(label(across, top + height + 18, str(n), "quiet small middle"))
    names = []
    for system, line in lines.items():
        points = [at(n, value) for n, value in line]
        if not points:
            continue
        path = " ".join(f"{across:.1f},{down:.1f}" for across, down in points)
        parts.append(f'<polyline points="{path}" class="{CLASSES[system]}-line" stroke-width="2.5"/>')
        parts += [
            f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" class="{CLASSES[system]}"/>' for across, down in points
        ]
        names.append([points[-1][1], system])
    below = -math.inf
    for down, system in sorted(names):
        # Names of lines that end close to each other are moved apart.
        below = max(down, below + 15)
        parts.append(label(left + width + 10, below + 4, SHORT[system]))
    return parts


def shares(matrix: Matrix, x: float, y: float) -> list[str]:
    """Throughput of each model as a share of what the HTTP stack and the engine allow."""
    groups = []
    for workload, form, n in (
        ("trees", "rows", 128),
        ("trees", "binary", 128),
        ("encoder", "rows", 32),
        ("resnet50", "binary", 8),
    ):
        share, _ = of_limit(matrix, workload, form, n)
        if share is None:
            continue
        ours = matrix.median(Cell(workload, form, n, MODELSHIP.name), "throughput")
        found = [(MODELSHIP.name, share, ours)]
        for system in (ASYNC, THREADS):
            theirs = matrix.median(Cell(workload, form, n, system.name), "throughput")
            if theirs:
                found.append((system.name, share * theirs / ours, theirs))
        groups.append((WORKLOADS[workload].what, f"{report.FORMS[form]}, {n} connections", found))
    parts = [
        label(x, y + 14, "Share of what the machine allows", "title ink"),
        label(
            x,
            y + 32,
            "Requests a second, as a share of 1 / (1/L + 1/E): L the bare route for the same request, "
            "E the engine's own loop at its best batch size",
            "quiet small",
        ),
    ]
    wide = (WIDTH - 2 * x) / max(len(groups), 1)
    for place, (what, how, found) in enumerate(groups):
        left = x + place * wide
        parts += [
            label(left, y + 58, f"{what[0].upper()}{what[1:]}".split(",")[0]),
            label(left, y + 73, how, "quiet small"),
        ]
        for line, (system, share, value) in enumerate(found):
            top = y + 86 + line * 38
            length = (wide - 80) * min(share, 1.0)
            parts += [
                f'<rect x="{left}" y="{top}" width="{wide - 80:.1f}" height="20" rx="2" class="line" opacity=".4"/>',
                bar(left, top, length, 20, system),
                label(left + wide - 74, top + 14, f"{share:.0%}", "value ink"),
                label(left, top + 33, f"{SHORT[system]}: {report.number(value)}/s", "quiet small"),
            ]
    return parts


def caption(record: dict) -> list[str]:
    words, lines = report.caption(record).split("; "), []
    lines.extend(words)
    return [label(24, HEIGHT - 32 + 16 * place, line, "quiet small") for place, line in enumerate(lines)]
