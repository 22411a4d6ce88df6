"""The benchmark's own arithmetic, and that what it published is what it measured."""

import json
import sys
import xml.etree.ElementTree
from pathlib import Path

import numpy
import pytest

BENCH = Path(__file__).parents[1] / "bench"
sys.path.insert(0, str(BENCH))

import figures  # noqa: E402
import plot  # noqa: E402
import report  # noqa: E402
import tensors  # noqa: E402
import workloads  # noqa: E402
from measure import Cell, Effort, Matrix  # noqa: E402
from progress import Progress  # noqa: E402


def matrix(rounds: dict[Cell, list[dict]]) -> Matrix:
    made = Matrix(Effort(3, 1, 0, (1, 32, 128)), Path(), Path(), Progress(1))
    made.rounds = rounds
    return made


def outcome(throughput: float, cpu: float = 10.0, p50: float = 20.0) -> dict:
    return {
        "throughput": throughput,
        "latency_us": {"p50": p50, "p99": 2 * p50},
        "server_cpu_us": cpu,
        "load_cpu_us": 5.0,
        "resident_kib": 40_000,
    }


def test_a_ratio_is_the_median_of_the_rounds_own_ratios():
    ours, bare = (Cell("linear", "get", 32, system) for system in ("modelship", "bare"))
    # The machine was slow in the second round: both were, and their ratio stayed.
    cpus = [(12, 10), (36, 30), (13, 10)]
    rounds = {
        ours: [outcome(1, cpu=a) for a, _ in cpus],
        bare: [outcome(1, cpu=b) for _, b in cpus],
    }
    (figure,) = (each for each in figures.of_matrix(matrix(rounds)) if each.key == "cpu_to_bare")
    assert figure.measured == pytest.approx(1.2)
    assert figure.verdict() == "bar"


def test_the_limit_is_that_of_http_and_engine_one_after_the_other():
    rounds = {
        Cell("trees", "rows", 128, "bare"): [outcome(100_000)],
        Cell("trees", "rows", 128, "modelship"): [outcome(60_000)],
        Cell("trees", "", 0, "engine"): [{"rows_per_second": 300_000}],
    }
    share, _ = figures.of_limit(matrix(rounds), "trees", "rows", 128)
    assert share == pytest.approx(0.8)


def test_what_was_not_measured_reaches_nothing():
    verdicts = {each.verdict() for each in figures.of_matrix(matrix({}))}
    assert verdicts == {"not measured"}


def test_protobuf_is_read_as_it_was_written():
    inputs = {"x": numpy.arange(300, dtype=numpy.float32).reshape(1, 300), "n": numpy.array([7], numpy.int64)}
    message = tensors.grpc_request("trees", inputs)
    # model_name, by the protocol's own number and wire type.
    assert message.startswith(b"\x0a\x05trees")
    # A request's tensors are its fields 5 and 7, an answer's 5 and 6.
    answer = b"".join(
        tensors.field(6 if number == 7 else number, value) for number, value in tensors.fields(message) if number != 1
    )
    found = tensors.grpc_answer(answer)
    assert workloads.difference(found, inputs) is None


def test_binary_tensors_are_read_as_they_were_written():
    inputs = {"x": numpy.array([[1.5, 2.5]], numpy.float32), "n": numpy.array([7, 8], numpy.int64)}
    body, length = tensors.binary_request(inputs)
    found = tensors.binary_answer(body.replace(b'"inputs"', b'"outputs"'), length + 1)
    assert workloads.difference(found, inputs) is None


def test_a_wrong_answer_is_named():
    expected = {"y": numpy.array([48.0], numpy.float32)}
    assert workloads.difference({"y": numpy.array([48.01], numpy.float32)}, expected) is None
    assert "y is [49." in workloads.difference({"y": numpy.array([49.0], numpy.float32)}, expected)
    assert "shape" in workloads.difference({"y": numpy.array([48.0, 48.0])}, expected)


def test_the_plot_is_an_image_with_the_measured_numbers():
    rounds = {
        Cell("linear", "get", n, system): [outcome(50_000 / cpu, cpu=cpu)]
        for n in (1, 32, 128)
        for system, cpu in (
            ("bare", 8.25),
            ("modelship", 9.75),
            ("fastapi-async", 150.0),
            ("fastapi-threads", 280.0),
            ("fastapi-plain", 170.0),
        )
    }
    record = {"date": "today", "machine": {"processors": 2, "cpu": "A & B"}} | {
        "versions": dict.fromkeys(("modelship", "onnxruntime", "fastapi", "uvicorn", "uvloop", "python"), "1")
    }
    image = xml.etree.ElementTree.fromstring(plot.plot(matrix(rounds), record))
    words = {element.text for element in image.iter() if element.text}
    assert {"modelship", "bare axum", "9.8", "280"} <= words


@pytest.mark.skipif(not (BENCH / "results.json").exists(), reason="nothing has been published yet")
def test_the_published_tables_are_those_of_the_published_results():
    record = json.loads((BENCH / "results.json").read_text())
    shown = (BENCH / "README.md").read_text()
    for figure in record["figures"]:
        assert f"| {figure['what']} |" in shown
    for cell in record["cells"]:
        if cell["connections"]:
            assert f" {report.number(cell['median']['throughput'])} |" in shown
