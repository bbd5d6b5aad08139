"""The CRD as a whole; that the API server takes it is tested in `tests/apiserver`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from peft_fsdp_api.crd import MUTABLE, PRINTER_COLUMNS, crd, crd_yaml
from peft_fsdp_api.job import JobSpec
from peft_fsdp_api.stage import Stage
from peft_fsdp_api.status import Phase

ROOT = Path(__file__).parents[2]
[VERSION] = crd()["spec"]["versions"]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]
SPEC = SCHEMA["properties"]["spec"]


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, inner in node.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in node:
            yield from nodes(node[key], f"{path}.{key}")


def test_names_and_version() -> None:
    names = crd()["spec"]["names"]
    assert (names["shortNames"], names["categories"], names["plural"]) == (["pfj"], ["ml"], "peftfsdpjobs")
    assert (VERSION["name"], VERSION["served"], VERSION["storage"]) == ("v1alpha1", True, True)
    assert VERSION["subresources"] == {"status": {}}


def test_there_are_no_defaults_in_the_spec() -> None:
    assert [path for path, node in nodes(SPEC, "spec") if "default" in node] == []


def test_a_job_that_nobody_has_seen_says_so() -> None:
    defaults = {path: node["default"] for path, node in nodes(SCHEMA, "") if "default" in node}
    assert defaults == {".status": {"observedGeneration": -1}}


def test_what_a_user_writes_is_bounded() -> None:
    bounds = {"string": {"maxLength", "enum"}, "array": {"maxItems"}}
    unbounded = [p for p, n in nodes(SPEC, "spec") if n.get("type") in bounds and not bounds[n["type"]] & n.keys()]
    assert unbounded == []


def test_printer_columns_show_fields_that_exist() -> None:
    known = {path for path, _ in nodes(SCHEMA["properties"]["status"], ".status")} | {".metadata.creationTimestamp"}
    assert [path for _, _, path, _, _ in PRINTER_COLUMNS if path not in known] == []


def test_the_stages_are_listed_as_they_are_reported() -> None:
    described = SCHEMA["properties"]["status"]["properties"]["progress"]["properties"]["stage"]["description"]
    assert described == f"What slowestRank does: {', '.join(stage.value for stage in Stage)}."


def test_every_phase_is_one_that_the_operator_sets() -> None:
    decide = "".join(file.read_text() for file in (ROOT / "operator/peft_fsdp_operator/decide").glob("*.py"))
    assert {phase for phase in Phase if f"Phase.{phase.name}" not in decide} == set()


def test_conditions_are_merged_by_type() -> None:
    conditions = SCHEMA["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_every_section_is_mutable_or_guarded() -> None:
    guarded = {
        rule["fieldPath"].removeprefix(".spec.") for rule in SCHEMA["x-kubernetes-validations"] if "fieldPath" in rule
    }
    assert guarded.isdisjoint(MUTABLE)
    assert guarded | MUTABLE == {field.alias for field in JobSpec.model_fields.values()}


def test_the_yaml_is_the_object_without_anchors() -> None:
    assert yaml.safe_load(crd_yaml()) == crd()
    assert "&id" not in crd_yaml()
