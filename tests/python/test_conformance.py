"""ONNX's conformance tests: one for each operator, and every network. scripts/conformance runs
them all."""

from open_inference import cases, conformance


def test_one_model_for_each_operator_is_served():
    report = conformance.run_here(cases.subset())
    assert report.passed, report
    assert len(report.of("served")) > 200, report
    # Nothing is left out but for ONNX Runtime's own reasons.
    theirs = ("ONNX Runtime can't", "ONNX Runtime's own answer")
    assert not [o for o in report.of("left out") if not o.reason.startswith(theirs)], report
