"""Alert rules, dashboard and monitors: they speak of metrics that exist, fire when they should, and name a runbook."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from dev.chart.dashboard import dashboard
from dev.chart.helm import CHART, REPOSITORY
from dev.chart.metrics_page import launcher_families, operator_families
from dev.chart.promtool import PromtoolError, run_promtool
from peft_fsdp_api import names
from peft_fsdp_api.status import ConditionType

RULES = CHART / "rules" / "alerts.yaml"
CASES = Path(__file__).parent / "alerts"
ENDINGS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def alerts():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels():
    return [panel for panel in json.loads(dashboard())["panels"] if panel["type"] != "row"]


def queries():
    return [rule["expr"] for rule in alerts()] + [one["expr"] for panel in panels() for one in panel["targets"]]


def exposed():
    """Series name -> label names, as the two processes declare them."""
    found = {}
    for family in operator_families() + launcher_families():
        labels = {name for sample in family.samples for name in sample.labels} | {"le"}
        found |= {f"{family.name}{ending}": labels for ending in ENDINGS[family.type]}
    return found


def named(query):
    return set(re.findall(r"\b(?:peft_fsdp|process)_\w+", query))


@pytest.mark.parametrize("query", queries())
def test_every_query_asks_for_series_that_exist(query):
    assert named(query) <= set(exposed())


@pytest.mark.parametrize("query", queries())
def test_every_query_chooses_by_labels_that_exist(query):
    for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", query):
        assert set(re.findall(r"(\w+)\s*[=!]", matchers)) <= exposed()[name]
    targets = {"namespace", "pod", "service", "training_peft_fsdp_io_job"}  # labels that Prometheus adds
    known = set.union(targets, *(exposed()[name] for name in named(query)))
    for grouped in re.findall(r"(?:by|on) \(([^)]*)\)", query):
        assert set(re.split(r",\s*", grouped)) <= known


def test_everything_that_an_operator_tells_is_looked_at_somewhere():
    looked_at = set.union(*map(named, queries()))
    unseen = {one.name for one in operator_families() if not one.name.startswith("process_")}
    unseen -= {
        name for name in unseen for ending in ("", "_total", "_bucket", "_count") if f"{name}{ending}" in looked_at
    }
    assert unseen == set()


def test_every_alert_has_a_runbook_with_its_name():
    headings = re.findall(r"^#+ (PeftFsdp\w+)$", (REPOSITORY / "docs" / "operations.md").read_text(), re.MULTILINE)
    assert headings == [rule["alert"] for rule in alerts()]
    for rule in alerts():
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_every_condition_is_explained_to_who_runs_the_operator():
    text = (REPOSITORY / "docs" / "operations.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(ConditionType)


def test_every_alert_is_tested_both_ways():
    loud, quiet = set(), set()
    for file in CASES.glob("*.test.yaml"):
        for test in yaml.safe_load(file.read_text())["tests"]:
            for case in test["alert_rule_test"]:
                (loud if case.get("exp_alerts") else quiet).add(case["alertname"])
    assert loud == quiet == {rule["alert"] for rule in alerts()}


def test_no_two_panels_share_a_place():
    places = [tuple(panel["gridPos"].values()) for panel in json.loads(dashboard())["panels"]]
    assert len(set(places)) == len(places)
    assert all(place[0] + place[2] <= 24 for place in places)


@pytest.mark.slow
def test_promtool_accepts_the_rules_and_every_query_of_the_dashboard(tmp_path):
    shown = [one["expr"].replace("$__rate_interval", "5m") for panel in panels() for one in panel["targets"]]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(shown)]
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(alerts())} rules found" in run_promtool("check", "rules", str(RULES))
    assert f"{len(shown)} rules found" in run_promtool("check", "rules", str(tmp_path / "panels.yaml"))


class Declared(Collector):
    """Every family of both processes."""

    def collect(self):
        return operator_families() + launcher_families()


@pytest.mark.slow
def test_promtool_finds_no_fault_with_the_names():
    registry = CollectorRegistry()
    registry.register(Declared())
    assert run_promtool("check", "metrics", given=generate_latest(registry).decode()) == ""


def run_cases(folder, rules=None):
    for file in CASES.glob("*.test.yaml"):
        shutil.copy(file, folder)
    (folder / "alerts.yaml").write_text(rules or RULES.read_text())
    return run_promtool("test", "rules", *map(str, sorted(folder.glob("*.test.yaml"))))


@pytest.mark.slow
def test_alerts_fire_when_they_should_and_not_before(tmp_path):
    assert run_cases(tmp_path).count("SUCCESS") == len(list(CASES.glob("*.test.yaml")))


@pytest.mark.slow
def test_a_threshold_that_is_wrong_is_found(tmp_path):
    with pytest.raises(PromtoolError, match="PeftFsdpQueueOld"):
        run_cases(tmp_path, RULES.read_text().replace("queue_oldest_seconds) > 30", "queue_oldest_seconds) > 3000"))


@pytest.mark.slow
def test_monitoring_is_off_until_asked_for(render):
    kinds = render().kinds()
    assert not kinds & {"PrometheusRule", "PodMonitor", "ServiceMonitor", "ConfigMap"}


@pytest.mark.slow
def test_the_rules_arrive_as_they_are_and_runbooks_with_an_address(render):
    rule = render("alerts.enabled=true", "alerts.runbookBase=https://git.example.com/ml/", "alerts.labels.team=ml").one(
        "PrometheusRule"
    )
    assert rule["metadata"]["labels"]["team"] == "ml"
    rendered = [one for group in rule["spec"]["groups"] for one in group["rules"]]
    for one, source in zip(rendered, alerts(), strict=True):
        runbook = one["annotations"].pop("runbook_url")
        assert runbook == "https://git.example.com/ml/" + source["annotations"].pop("runbook_url")
        assert one == source


@pytest.mark.slow
def test_the_dashboard_arrives_whole_and_labelled(render):
    config = render("dashboard.enabled=true").one("ConfigMap")
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(config["data"]["peft-fsdp.json"]) == json.loads(dashboard())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "where"),
    [([], {"any": True}), (["watchNamespaces={team-a}"], {"matchNames": ["team-a"]})],
)
def test_the_pod_monitor_finds_the_launchers(render, values, where):
    monitor = render("metrics.podMonitor.enabled=true", *values).one("PodMonitor")["spec"]
    assert monitor["namespaceSelector"] == where
    assert monitor["selector"]["matchExpressions"] == [{"key": names.LABEL_JOB, "operator": "Exists"}]
    assert set(monitor["podTargetLabels"]) == {names.LABEL_JOB, names.LABEL_ATTEMPT, names.LABEL_WORKER}
    assert monitor["podMetricsEndpoints"][0]["port"] == "launcher"
