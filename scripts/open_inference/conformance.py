"""Serves ONNX's conformance tests and holds the answers against what must come."""

import hashlib
import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnxruntime
from onnx import TensorProto, helper

from .cases import Case
from .encodings import encodings
from .report import Outcome, Report
from .served import Server, add, add_by_command
from .tensors import NoDatatypeError, pack, unpack

onnxruntime.set_default_logger_severity(4)


def run_here(cases: Iterable[Case], by_hand: bool = False) -> Report:
    """Adds `cases` by `modelship add` and serves them, with this repository's own binary. With
    `by_hand` their folders are written here instead, which is quicker."""
    cases = list(cases)
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder)
        # A service starts with a model that is right; the others are loaded while it runs, so
        # that one that can't be loaded is told from one that can.
        first = "the-first"
        add(models, first, _identity())
        flags = ("--allow-repository-control", "--watch=off", "--event-loops=1", "--instances=1")
        with Server(models, *flags) as server:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                refused = list(pool.map(lambda case: _add(models, case, by_hand), cases))
            _post(server.url, f"/v2/repository/models/{first}/load", timeout=900)
            index = _post(server.url, "/v2/repository/index", timeout=60)
            states = {entry["name"]: entry for entry in index}
            ways = encodings(server.address)
            report = Report("this repository's modelship", [])
            for case, refusal in zip(cases, refused):
                state = states.get(model_name(case), {"state": "missing", "reason": "not in the index"})
                if state["state"] == "READY":
                    report.outcomes.append(_try(ways, case))
                else:
                    report.outcomes.append(_not_loaded(case, refusal or state["reason"]))
            return report


def _add(models: Path, case: Case, by_hand: bool) -> str:
    """Adds `case` to the repository; gives why it was refused, or nothing."""
    name = model_name(case)
    refusal = "" if by_hand else add_by_command(models, name, case.model)
    if "--cases" in refusal:
        # Inputs drawn at random do not suit every model: those of the test do.
        with tempfile.TemporaryDirectory() as folder:
            case.write(Path(folder))
            refusal = add_by_command(models, name, case.model, Path(folder))
    if by_hand or (refusal and THEIRS not in refusal):
        # `add` refuses what answers differently each time; it can be served all the same.
        add(models, name, case.model)
    return refusal


class NobodyThereError(Exception):
    """No server answers at an address."""


def run_there(address: str, cases: Iterable[Case], grpc_address: str = "") -> Report:
    """Asks the server at `address`, which serves the cases that it serves. It speaks gRPC at
    `grpc_address`, which is the same if it is empty; or not at all, if it is "none"."""
    ways = encodings(address, grpc_address)
    for encoding, way in ways.items():
        if said := way.is_silent():
            way_out = "; --grpc-url says where it speaks gRPC, or none" if "gRPC" in encoding else ""
            raise NobodyThereError(f"no server answers {encoding.split()[0]} at {way.address}: {said}{way_out}")
    report = Report(address, [])
    for case in cases:
        if ways["REST JSON"].is_ready(model_name(case)):
            report.outcomes.append(_try(ways, case, judge=False))
        else:
            reason = "the server does not serve this model"
            report.outcomes.append(Outcome(case.name, case.kind, "left out", reason))
    return report


def export(cases: Iterable[Case], folder: Path, layout: str) -> int:
    """Writes the models into `folder`, for a server to be tested, and gives how many: in this
    repository's layout those that ONNX Runtime can load, or all as `name/1/model.onnx`, which
    others read."""
    written = 0
    for case in cases:
        name = model_name(case)
        if layout == "modelship":
            if _can_be_loaded(case):
                add(folder, name, case.model)
                written += 1
            continue
        written += 1
        version = folder / name / "1"
        version.mkdir(parents=True, exist_ok=True)
        (version / "model.onnx").write_bytes(case.model.SerializeToString())
    return written


def _can_be_loaded(case: Case) -> bool:
    try:
        onnxruntime.InferenceSession(case.model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception:
        return False
    return True


def model_name(case: Case) -> str:
    """The name of a case's model: at most 63 small letters, digits and dashes. Kinds other than
    the node tests stand in it, since some of theirs have the same name."""
    kind = "" if case.kind == "node" else f"{case.kind} "
    words = "".join(c if c.isalnum() else " " for c in f"{kind}{case.name.removeprefix('test_')}".lower())
    name = "-".join(words.split())
    if len(name) <= 63:
        return name
    return f"{name[:54]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


# How a refusal begins that is ONNX Runtime's own.
THEIRS = "ONNX Runtime can't load the model: "


def _try(ways: dict, case: Case, judge: bool = True) -> Outcome:
    """Sends every data set of `case` in every encoding."""
    outcome = Outcome(case.name, case.kind)
    for encoding, way in ways.items():
        outcome.encodings[encoding] = ""
        for inputs, expected in case.data_sets:
            try:
                tensors = [pack(name, value) for name, value in case.inputs(inputs)]
                answered = way.infer(model_name(case), tensors)
                case.compare(expected, [unpack(a, e) for a, e in zip(answered, expected)])
            except NoDatatypeError as error:
                outcome.result, outcome.reason = "left out", str(error)
                return outcome
            # Another server may answer anything: what can't be read is a failure of this test.
            except Exception as error:
                outcome.encodings[encoding] = _one_line(error)
                break
    wrong = next(filter(None, outcome.encodings.values()), "")
    if not wrong:
        return outcome
    fault = _fault_of_onnxruntime(case) if judge else ""
    outcome.result = "left out" if fault else "failed"
    outcome.reason = fault or wrong
    return outcome


def _not_loaded(case: Case, reason: str) -> Outcome:
    if THEIRS in reason:
        said = _one_line(reason.split(THEIRS, 1)[1])
        return Outcome(case.name, case.kind, "left out", f"ONNX Runtime can't load it: {_kind_of(said)}")
    if "no datatype" in reason:
        said = reason.split(" is a ", 1)[-1]
        return Outcome(case.name, case.kind, "left out", f"the protocol has no datatype: {said.split(', which')[0]}")
    return Outcome(case.name, case.kind, "failed", f"it was not loaded: {_one_line(reason)}")


def _kind_of(said: str) -> str:
    """ONNX Runtime's reason without what differs from model to model."""
    for kind in (
        "Could not find an implementation",
        "Failed to find kernel",
        "is not a registered function/op",
        "is under development",
        "Type Error",
    ):
        if kind in said:
            return kind
    return said[:160]


def _fault_of_onnxruntime(case: Case) -> str:
    """Why ONNX Runtime itself does not pass `case`; empty where it does."""
    try:
        session = onnxruntime.InferenceSession(case.model.SerializeToString(), providers=["CPUExecutionProvider"])
        for inputs, expected in case.data_sets:
            answered = session.run(None, dict(case.inputs(inputs)))
            case.compare(expected, answered)
    except AssertionError:
        return "ONNX Runtime's own answer is not within the suite's tolerances"
    except Exception as error:
        said = _one_line(error)
        if "ONNXRuntimeError" in said:
            return f"ONNX Runtime can't run it: {_kind_of(said)}"
    return ""


def _post(url: str, path: str, timeout: float):
    request = urllib.request.Request(url + path, data=b"", method="POST")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        # Some models can't be loaded: the index says which.
        if error.code != 503:
            raise
        return None


def _identity():
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _one_line(error) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
