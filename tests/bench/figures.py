"""The figures to reach, and what was measured of each."""

from dataclasses import dataclass

from measure import Cell, Matrix
from systems import ASYNC, BARE, ENGINE, MODELSHIP, PLAIN, STOCK


@dataclass(frozen=True)
class Figure:
    """A figure with its bar and its moonshot; `at_most` says on which side of them it should be."""

    key: str
    what: str
    bar: float
    moonshot: float
    at_most: bool
    measured: float | None
    note: str = ""

    def reaches(self, limit: float) -> bool:
        if self.measured is None:
            return False
        return self.measured <= limit if self.at_most else self.measured >= limit

    def verdict(self) -> str:
        if self.measured is None:
            return "not measured"
        if self.reaches(self.moonshot):
            return "moonshot"
        return "bar" if self.reaches(self.bar) else "missed"


def all_of(matrix: Matrix | None, swaps: list[dict], pair: dict | None) -> list[Figure]:
    """Every figure to reach; those that were not measured have no value."""
    found = of_matrix(matrix) if matrix else []
    for each in swaps:
        how = f"{each['rate']:.0f} requests a second" if each["rate"] else "closed loop"
        note = f"{each['failed']} of {each['requests'] + each['failed']} requests failed"
        what = f"{each['swaps']} swaps under load, {how}: p99, ratio to steady"
        if each["failed"]:
            note += ", where none may"
        found.append(
            Figure(f"swaps_{'rate' if each['rate'] else 'closed'}", what, 2, 1.2, True, each["p99_ratio"], note)
        )
        what = f"{each['swaps']} swaps under load, {how}: failed requests"
        found.append(Figure(f"swaps_failed_{'rate' if each['rate'] else 'closed'}", what, 0, 0, True, each["failed"]))
    if pair:
        for name, how in (("rate", "2000 requests a second"), ("closed", "closed loop")):
            what = f"a model of microseconds beside one of 50 ms, {how}: p99, ratio to alone"
            found.append(Figure(f"pair_{name}", what, 3, 1.5, True, pair[name]["p99_ratio"]))
    return found


def of_matrix(matrix: Matrix) -> list[Figure]:
    def cell(workload: str, form: str, connections: int, system) -> Cell:
        return Cell(workload, form, connections, system.name)

    systems = (MODELSHIP, BARE, STOCK, ASYNC, PLAIN)
    ours, bare, stock, peer, plain = (cell("linear", "get", 32, system) for system in systems)
    alone, alone_bare = (cell("linear", "get", 1, system) for system in (MODELSHIP, BARE))
    found = [
        Figure(
            "cpu_to_bare",
            "/predict/21, 32 connections: server CPU per request, ratio to the bare route",
            1.35,
            1.15,
            True,
            matrix.ratio(ours, bare, "server_cpu_us"),
        ),
        Figure(
            "cpu_to_stock",
            "the same, ratio to the route under axum::serve",
            1.35,
            1.15,
            True,
            matrix.ratio(ours, stock, "server_cpu_us"),
        ),
        Figure(
            "cpu_to_plain",
            "the same, ratio to FastAPI + onnxruntime (async) on plain uvicorn",
            1 / 15,
            1 / 20,
            True,
            matrix.ratio(ours, plain, "server_cpu_us"),
        ),
        Figure(
            "cpu_to_peer",
            "the same, ratio to FastAPI + onnxruntime (async) on uvicorn with uvloop and httptools",
            1 / 15,
            1 / 20,
            True,
            matrix.ratio(ours, peer, "server_cpu_us"),
        ),
        Figure(
            "p50_to_bare",
            "/predict/21, 1 connection: p50, ratio to the bare route",
            1.15,
            1.05,
            True,
            matrix.ratio(alone, alone_bare, "latency_us", "p50"),
        ),
    ]
    for form, shown in (("rows", "POST /predict"), ("json", "/v2 JSON"), ("binary", "/v2 binary"), ("grpc", "gRPC")):
        measured, limit = of_limit(matrix, "trees", form, 128)
        if measured is not None or form == "rows":
            what = f"trees, 128 connections, one row each, {shown}: throughput, ratio to 1 / (1/L + 1/E)"
            found.append(Figure(f"trees_{form}", what, 0.8, 0.95, False, measured, limit))
    engine = Cell("resnet50", "", 0, ENGINE.name)
    images = matrix.ratio(cell("resnet50", "binary", 8, MODELSHIP), engine, "throughput", over=("rows_per_second",))
    what = "ResNet-50, 8 connections, /v2 binary: throughput, ratio to the engine's own loop"
    found.append(Figure("resnet", what, 0.95, 0.99, False, images))
    return found


def of_limit(matrix: Matrix, workload: str, form: str, connections: int) -> tuple[float | None, str]:
    """Throughput to what the bare route and the engine would allow one after the other."""
    limit = matrix.median(Cell(workload, form, connections, BARE.name), "throughput")
    engine = matrix.median(Cell(workload, "", 0, ENGINE.name), "rows_per_second")
    ours = matrix.median(Cell(workload, form, connections, MODELSHIP.name), "throughput")
    if None in (limit, engine, ours):
        return None, ""
    return ours * (1 / limit + 1 / engine), f"L {limit:,.0f}, E {engine:,.0f}, measured {ours:,.0f}"
