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
    "modelship_renewals_total",
    "modelship_model_info",
    "modelship_build_info",
    "modelship_model_load_failures_total",
    "modelship_request_memory_bytes",
    "modelship_request_memory_limit_bytes",
    "modelship_request_memory_refused_total",
    "modelship_connections",
    "modelship_connections_refused_total",
    "modelship_connections_cut_total",
    "modelship_spans_total",
    "modelship_tls_certificate_expiry_timestamp_seconds",
    "modelship_tls_handshakes_total",
}
OUTCOMES = {
    "success", "invalid", "not_found", "too_large", "overloaded", "cancelled", "internal",
    "unsupported", "unavailable", "deadline",
    # Of handshakes and of spans.
    "failure", "sent", "dropped",
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
        query = re.sub(r"\$(namespace|model|pod)\b", ".*", query.replace("$__rate_interval", "1m"))
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


def test_the_analysis_judges_the_canary_by_its_own_pods(tmp_path):
    """Over series of a bad canary and good stable pods, and of a canary that nobody asked."""
    metrics = find(rendered("overlays/canary"), "AnalysisTemplate")["spec"]["metrics"]
    arguments = {"canary-hash": "new", "stable-hash": "old"}

    def fill(match):
        return arguments[match[1]]

    group = [
        {
            "record": metric["name"].replace("-", "_"),
            "expr": re.sub(r"\{\{args\.([\w-]+)\}\}", fill, metric["provider"]["prometheus"]["query"]),
        }
        for metric in metrics
    ]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "q", "rules": group}]}))

    def series(name, pods, values, **labels):
        every = {"namespace": "modelship", "rollouts_pod_template_hash": pods, "model": "linear"} | labels
        listed = ",".join(f'{key}="{value}"' for key, value in every.items())
        return {"series": f"{name}{{{listed}}}", "values": values}

    count, bucket = "modelship_requests_total", "modelship_request_duration_seconds_bucket"
    good = [
        series(count, "old", "0+1000x20", outcome="success"),
        # The server shows every outcome from the start.
        series(count, "old", "0+0x20", outcome="internal"),
        series(bucket, "old", "0+1000x20", le="0.01"),
        series(bucket, "old", "0+1000x20", le="+Inf"),
    ]
    bad = [
        series(count, "new", "0+950x20", outcome="success"),
        series(count, "new", "0+50x20", outcome="internal"),
        series(bucket, "new", "0+0x20", le="0.01"),
        series(bucket, "new", "0+1000x20", le="0.1"),
        series(bucket, "new", "0+1000x20", le="+Inf"),
    ]

    # The limits are those of the template's own conditions.
    limits = {
        metric["name"].replace("-", "_"): re.fullmatch(
            r"len\(result\) == 0 \|\| isNaN\(result\[0\]\) \|\| result\[0\] <= ([\d.]+)",
            metric["successCondition"],
        )[1]
        for metric in metrics
    }
    assert limits == {"error_ratio": "0.01", "latency_against_stable": "2"}

    def judged(**failed):
        return [
            {
                "expr": f"{name} > bool {limits[name]}",
                "eval_time": "10m",
                "exp_samples": [{"labels": "{}", "value": int(value)}] if value is not None else [],
            }
            for name, value in failed.items()
        ]

    tests = [
        # 5 % of the canary's requests fail; its p99 is ten times that of the stable pods.
        (good + bad, judged(error_ratio=True, latency_against_stable=True)),
        # A canary as good as the stable pods.
        (
            good + [one | {"series": one["series"].replace('"old"', '"new"')} for one in good],
            judged(error_ratio=False, latency_against_stable=False),
        ),
        # A canary that nobody asked: no result, which is no reason to stop.
        (good, judged(error_ratio=None, latency_against_stable=None)),
    ]
    content = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": given, "promql_expr_test": expected} for given, expected in tests],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(content))
    promtool("test", "rules", "test.yaml", cwd=tmp_path)
