"""Each example for Flux and Argo CD: what it refers to is there, and says of jobs what the guide says."""

import pytest
import yaml

from dev.chart.helm import CHART, template
from dev.cluster.build import build
from dev.gitops.verdict import flux_health, helm_releases
from tests.gitops.examples import EXAMPLES, FOLDER, documents, of_kind
from tests.gitops.states import states

ROOT = FOLDER.parents[1]
GUIDE = (ROOT / "docs" / "gitops.md").read_text()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_file_is_in_the_guide_and_says_what_it_is_for(path):
    assert str(path.relative_to(ROOT)) in GUIDE
    assert path.read_text().startswith("# ")
    assert documents(path)


def test_every_source_that_is_named_is_there():
    sources = {one["metadata"]["name"] for one in of_kind("GitRepository")}
    named = [one["spec"]["sourceRef"] for one in of_kind("Kustomization")]
    named += [one["spec"]["chart"]["spec"]["sourceRef"] for one in of_kind("HelmRelease")]
    assert {one["name"] for one in named} == sources


def test_the_charts_that_are_named_are_ours():
    charts = [one["spec"]["chart"]["spec"]["chart"] for one in of_kind("HelmRelease")]
    charts += [path for one in of_kind("Application") if (path := one["spec"]["source"]["path"]) != "jobs"]
    assert {ROOT / chart for chart in charts} == {CHART}


def test_the_values_fit_the_chart(tmp_path):
    build(("helm",))
    releases = [one["spec"]["values"] for one in of_kind("HelmRelease")]
    releases += [helm["valuesObject"] for one in of_kind("Application") if (helm := one["spec"]["source"].get("helm"))]
    assert len(releases) == 2
    for number, values in enumerate(releases):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(values))
        rendered = [one for one in yaml.safe_load_all(template("--values", str(file))) if one]
        [deployment] = [one for one in rendered if one["kind"] == "Deployment"]
        assert deployment["spec"]["replicas"] == values["replicas"]


@pytest.mark.slow
def test_flux_knows_every_field_of_the_release():
    [release] = of_kind("HelmRelease")
    [read] = helm_releases([release])
    assert read["spec"]["chart"]["spec"]["sourceRef"] == release["spec"]["chart"]["spec"]["sourceRef"]


@pytest.mark.slow
def test_a_field_that_flux_does_not_know_is_found():
    [release] = of_kind("HelmRelease")
    with pytest.raises(RuntimeError, match='unknown field "chartName"'):
        helm_releases([{**release, "spec": {**release["spec"], "chartName": "x"}}])


@pytest.mark.slow
def test_what_waits_for_the_end_waits_for_the_adapter():
    [expressions] = [checks for one in of_kind("Kustomization") for checks in one["spec"].get("healthCheckExprs", ())]
    asked = {key: expressions[key] for key in ("current", "failed")}
    told = dict(zip([one.name for one in states()], flux_health(asked, [one.object for one in states()]), strict=True))
    ended = {"succeeded": "Current", "failed": "Failed", "stalled": "Failed", "image-hopeless": "Failed"}
    assert told == {one.name: ended.get(one.name, "InProgress") for one in states()} | {"invalid": "Failed"}
