"""The dashboard and the alerts, beside what a real server's /metrics holds."""

import json
import re
import shutil
import subprocess
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import yaml

from left_out import left_out
from served_page import PATIENCE, Served

# Where scripts/test-delivery puts it.
PROMTOOL = ".tools/bin/promtool"
# What the scrape adds: a pod's own, by the ServiceMonitor.
TARGET = {"namespace", "pod", "job", "instance", "container", "service", "endpoint"}
# There only with TLS.
SECURE = {"modelship_tls_certificate_expiry_timestamp_seconds"}


@pytest.fixture(scope="module")
def scrapes(modelship, root, tmp_path_factory):
    """Two readings of /metrics, with requests of all kinds between them."""
    folder = tmp_path_factory.mktemp("dashboard")
    # Nobody listens there, so that spans are dropped.
    away = "--trace-endpoint=http://127.0.0.1:9"
    with Served(modelship / "modelship", root / "models", folder / "log", "--default-model=linear", away) as server:

        def get(path):
            try:
                with urlopen(f"{server.origin}{path}", timeout=PATIENCE) as answer:
                    return answer.read().decode()
            except HTTPError as error:
                return error.read().decode()

        before = get("/metrics")
        for _ in range(20):
            for path in ("/predict/21", "/predict/abc", "/predict/nobody/1", "/nowhere"):
                get(path)
        return before, get("/metrics")


def series(text: str) -> dict[str, dict[str, str]]:
    """By name and labels as they are written: the value."""
    found = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            written, number = line.rsplit(" ", 1)
            found[written] = number
    return found


def labels(text: str) -> dict[str, set[str]]:
    """By metric: the labels that it has."""
    found = {}
    for written in series(text):
        name, _, inside = written.partition("{")
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', inside))
    return found


def board(root) -> dict:
    return json.loads((root / "gitops/components/monitoring/dashboard.json").read_text())


def queries(root) -> dict[str, str]:
    """What the dashboard asks, by panel, variable or annotation."""
    found = {}
    for panel in board(root)["panels"]:
        for target in panel.get("targets", []):
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    for annotation in board(root)["annotations"]["list"]:
        if "expr" in annotation:
            found[annotation["name"]] = annotation["expr"]
    return found


def rules(root) -> list[dict]:
    text = (root / "gitops/components/monitoring/alerts.yaml").read_text()
    return [rule for group in yaml.safe_load(text)["spec"]["groups"] for rule in group["rules"]]


def selectors(query: str):
    """Each selector of a query: the metrics that it means, and the labels that it asks for."""
    for name, inside in re.findall(r"([a-zA-Z_][\w:]*)?\{([^}]*)\}", query):
        asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside))
        named = re.search(r'__name__=~?"([^"]+)"', inside)
        yield (named[1].split("|") if named else [name]), asked - {"__name__"}


def test_every_metric_and_label_is_there(root, scrapes):
    known = labels(scrapes[1])
    assert {"model", "version", "outcome"} <= known["modelship_requests_total"]
    every = queries(root) | {rule.get("alert", rule.get("record")): rule["expr"] for rule in rules(root)}
    for variable in board(root)["templating"]["list"]:
        if "definition" in variable:
            name, label = re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", variable["definition"]).groups()
            assert label in known[name] | TARGET, variable["name"]
            every[f"variable {variable['name']}"] = variable["definition"]
    for title, query in every.items():
        query = query.replace('"$', '"')
        for metric in re.findall(r"\b(?:modelship|process)_\w+", query):
            assert metric in known or metric in SECURE, f"{title} asks for {metric}"
        for metrics, asked in selectors(query):
            has = TARGET.union(*(known.get(metric, set()) for metric in metrics))
            assert asked <= has, f"{title} asks {metrics} for {asked - has}"
        grouped = {label for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", query) for label in group.split(", ")}
        has = TARGET.union(*(known.get(name, set()) for name in known if re.search(rf"\b{name}\b", query)))
        recorded = {"model"} if "modelship:" in query else set()
        assert grouped <= has | recorded, f"{title} groups by {grouped - has}"


def test_every_panel_is_described_and_every_axis_has_a_unit(root):
    for panel in board(root)["panels"]:
        if panel["type"] == "row":
            continue
        assert panel["description"].endswith((".", "%")), panel["title"]
        if panel["type"] == "timeseries":
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for target in panel["targets"]:
            assert "$pod" in target["expr"] and "$namespace" in target["expr"], panel["title"]


def test_every_query_answers_for_two_replicas(root, scrapes, tmp_path):
    """By promtool, over the two readings as if each of two pods had given them."""
    promtool = shutil.which("promtool") or shutil.which(root / PROMTOOL)
    if not promtool:
        left_out("promtool is not installed; scripts/test-delivery --setup-only does it")
    before, after = map(series, scrapes)
    given = []
    for pod in ("a", "b"):
        for written, last in after.items():
            name, _, inside = written.partition("{")
            own = f'namespace="modelship",pod="{pod}",' + inside.rstrip("}").rstrip(",")
            first = before.get(written, "0")
            given.append({"series": f"{name}{{{own.rstrip(',')}}}", "values": f"{first}x5 {last}x5"})
    asked = {
        title: re.sub(r"\$__rate_interval", "10m", query).replace("$namespace", ".*").replace("$model", ".*")
        for title, query in queries(root).items()
        # Nothing is new on the dashboard's own clock, and TLS is off.
        if title != "New version" and not any(metric in query for metric in SECURE)
    }
    assert len(asked) > 30
    tests = [
        {
            # A value that is not a number is no answer: it is not like itself.
            "expr": f"count(({query}) == ({query})) > bool 0".replace("$pod", ".*"),
            "eval_time": "10m",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for query in asked.values()
    ]
    test = {
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": given, "promql_expr_test": tests}],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    ran = subprocess.run([promtool, "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
