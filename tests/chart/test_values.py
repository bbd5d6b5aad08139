"""values.yaml, its schema, and that everything generated is up to date."""

import json
import re
from itertools import pairwise

import pytest
import yaml

from dev.chart.files import generated_files
from dev.chart.helm import CHART, REPOSITORY, HelmError
from dev.chart.values import Values
from dev.chart.values_file import values_file
from dev.chart.values_schema import values_schema


def test_the_file_holds_the_models_defaults():
    assert yaml.safe_load(values_file()) == Values().to_wire()


def test_every_value_follows_its_comment():
    lines = [line.strip() for line in values_file().splitlines()]
    blocks = {"requests:", "cpu: 50m", "memory: 128Mi", "limits:", "memory: 512Mi", "grafana_dashboard: '1'"}
    keys = [(above, line) for above, line in pairwise(lines) if re.match(r"\w+:", line)]
    assert len(keys) > 30
    assert [line for above, line in keys if not above.startswith("#") and line not in blocks] == []


def test_every_object_of_the_schema_is_closed():
    schema = json.loads(values_schema())
    objects = [schema, *schema["$defs"].values()]
    assert all(node["additionalProperties"] is False for node in objects)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("replica=2", "replica"),
        ("metrics.servicemonitor.enabled=true", "servicemonitor"),
        ("replicas=two", "replicas"),
        ("logFormat=xml", "logFormat"),
        ("watchNamespaces={Team_A}", "watchNamespaces"),
    ],
)
def test_a_misspelt_or_wrong_value_is_refused_by_name(render, value, named):
    with pytest.raises(HelmError, match=rf"values don't meet the specifications of the schema[\s\S]*{named}"):
        render(value)


@pytest.mark.slow
def test_values_of_a_parent_chart_are_accepted(render):
    assert render("global.region=eu")


@pytest.mark.slow
@pytest.mark.parametrize("file", generated_files(), ids=lambda file: file.path.name)
def test_generated_files_are_up_to_date(render, file):
    assert file.path.read_text() == file.make()


def test_install_yaml_is_complete_and_knows_nothing_of_helm():
    text = (REPOSITORY / "manifests" / "install.yaml").read_text()
    assert "helm.sh/" not in text
    assert "managed-by: Helm" not in text
    kinds = [manifest["kind"] for manifest in yaml.safe_load_all(text) if manifest]
    assert kinds[0] == "Namespace"
    assert {
        "CustomResourceDefinition",
        "Deployment",
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
        "Role",
        "RoleBinding",
    } < set(kinds)


def test_templates_use_every_value_and_no_other():
    top_level = set(Values().to_wire()) | {"global"}
    used = re.findall(r"\.Values\.(\w+)", "".join(path.read_text() for path in (CHART / "templates").glob("*")))
    assert set(used) == top_level - {"global"}
