"""Alerts, dashboard and canary analysis: their queries are PromQL, over metrics that exist."""

import json
import re
import shutil
import subprocess

import pytest
import yaml

from manifests import ROOT, find, rendered

pytestmark = pytest.mark.needs("kustomize", "promtool")

# What the server's /metrics offers, without the suffixes of histograms.
METRICS = {
    "modelship_requests_total",
    "modelship_requests_rejected_total",
    "modelship_request_duration_seconds",
    "modelship_queue_duration_seconds",
    "modelship_compute_duration_seconds",
    "modelship_batch_size",
    "modelship_requests_in_flight",
    "modelship_models_loaded",
    "modelship_ready",
    "modelship_model_info",
    "modelship_build_info",
    "modelship_model_load_failures_total",
}
OUTCOMES = {
    "success", "invalid", "not_found", "too_large", "overloaded", "cancelled", "internal",
    "unsupported", "unavailable", "deadline",
}  # fmt: skip


def rules() -> dict:
    return find(rendered("overlays/canary"), "PrometheusRule")["spec"]


def dashboard() -> dict:
    maps = [d for d in rendered("overlays/canary") if "modelship-dashboard" in d["metadata"]["name"]]
    assert [m["metadata"]["labels"]["grafana_dashboard"] for m in maps] == ["1"]
    return json.loads(maps[0]["data"]["dashboard.json"])


def panels(board: dict) -> list[dict]:
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries() -> dict[str, str]:
    """Every query that is not a rule, with the variables of its host filled in."""
    found = {}
    for panel in panels(dashboard()):
        for target in panel["targets"]:
            found[f"panel {panel['title']} {target['refId']}"] = target["expr"]
    for annotation in dashboard()["annotations"]["list"]:
        if "expr" in annotation:
            found[f"annotation {annotation['name']}"] = annotation["expr"]
    for metric in find(rendered("overlays/canary"), "AnalysisTemplate")["spec"]["metrics"]:
        found[f"analysis {metric['name']}"] = metric["provider"]["prometheus"]["query"]
    for title, query in found.items():
        query = query.replace("$__rate_interval", "1m").replace("$namespace", ".*").replace("$model", ".*")
        found[title] = re.sub(r"\{\{args\.[\w-]+\}\}", "abc", query)
        assert "$" not in found[title] and "{{" not in found[title], f"{title} has an unknown variable"
    return found


def promtool(*args, cwd):
    run = subprocess.run(["promtool", *args], cwd=cwd, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_rules_pass_their_unit_tests(tmp_path):
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules()))
    shutil.copy(ROOT / "tests/delivery/alerts_test.yaml", tmp_path)
    promtool("check", "rules", "--lint-fatal", "rules.yaml", cwd=tmp_path)
    promtool("test", "rules", "alerts_test.yaml", cwd=tmp_path)


def test_every_alert_is_seen_firing():
    tests = yaml.safe_load((ROOT / "tests/delivery/alerts_test.yaml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")}
    alerts = {rule["alert"] for group in rules()["groups"] for rule in group["rules"] if "alert" in rule}
    # The slower two burn rates differ from the tested ones in numbers alone.
    assert alerts - fired == {"ModelshipErrorBudgetBurnSteady", "ModelshipErrorBudgetBurnDrip"}


def test_every_query_is_promql(tmp_path):
    group = [{"record": f"q:{n}", "expr": query} for n, (_, query) in enumerate(sorted(queries().items()))]
    (tmp_path / "q.yaml").write_text(yaml.safe_dump({"groups": [{"name": "q", "rules": group}]}))
    promtool("check", "rules", "q.yaml", cwd=tmp_path)


def test_queries_ask_for_metrics_that_exist():
    every = queries() | {
        rule.get("alert", rule.get("record")): rule["expr"] for group in rules()["groups"] for rule in group["rules"]
    }
    for title, query in every.items():
        for metric in re.findall(r"\bmodelship_\w+", query):
            base = re.sub(r"_(bucket|sum|count)$", "", metric)
            assert base in METRICS, f"{title} asks for {metric}"
        for outcomes in re.findall(r'outcome=~?"([\w|]+)"', query):
            assert set(outcomes.split("|")) <= OUTCOMES, f"{title} asks for outcomes {outcomes}"
        for record in re.findall(r"\bmodelship:[\w:]+", query):
            assert record in every, f"{title} asks for {record}, which no rule records"


def test_the_dashboard_is_laid_out():
    """Panels do not overlap, each has a title and a query, and each follows the variables."""
    taken = set()
    ids = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        assert panel["title"] and panel["id"] not in ids
        ids.add(panel["id"])
    for panel in panels(dashboard()):
        assert panel["targets"]
        for target in panel["targets"]:
            assert "$namespace" in target["expr"], panel["title"]
            assert target["datasource"]["uid"] == "${datasource}"
