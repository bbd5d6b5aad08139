"""Whatever is in a spec, `parse_job` answers with a job or with problems that name fields; it never crashes."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from peft_fsdp_api.job import InvalidJob, JobSpec, PeftFsdpJob, parse_job
from peft_fsdp_api.structural import inline_schema
from peft_fsdp_api.trainer_config import TrainerConfig, pod_paths, trainer_config
from tests.api.cases import minimal_job, valid_cases

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JUNK = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
)


def values(node: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values near what the schema of a field allows."""
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if "properties" in node:
        fields = {name: values(inner) for name, inner in node["properties"].items()}
        return st.fixed_dictionaries({}, optional=fields)
    if "items" in node:
        return st.lists(values(node["items"]), max_size=3)
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "integer": st.integers(-1, 9) | st.integers(),
        "number": st.floats(0, 1) | st.floats(),
        "boolean": st.booleans(),
        "string": st.sampled_from(["a", "/a", "1h", "x/y", "nvidia.com/gpu", "RANK", "/output"]) | st.text(max_size=9),
        "object": st.dictionaries(st.sampled_from(["a", "b/c", "", "d e"]), st.text(max_size=5), max_size=3),
    }
    return kinds.get(node.get("type", ""), st.sampled_from([1, "1Gi", "x"]))


SPECS = values(inline_schema(JobSpec))


def judge(raw: dict[str, Any]) -> None:
    outcome = parsed_or_refused(raw)
    if isinstance(outcome, InvalidJob):
        assert outcome.problems
        assert [problem for problem in outcome.problems if not (problem.field and problem.message)] == []
    else:
        written = trainer_config(outcome, pod_paths(outcome))
        assert TrainerConfig.model_validate_json(json.dumps(written.to_wire())) == written


def parsed_or_refused(raw: dict[str, Any]) -> PeftFsdpJob | InvalidJob:
    try:
        return parse_job(raw)
    except InvalidJob as refusal:
        return refusal


@settings(max_examples=150)
@given(spec=SPECS)
def test_specs_near_the_schema(spec: dict[str, Any]) -> None:
    judge(minimal_job() | {"spec": minimal_job()["spec"] | spec})


@settings(max_examples=150)
@given(case=st.sampled_from(valid_cases()), section=st.sampled_from([*JobSpec.model_fields]), junk=JUNK)
def test_valid_specs_with_junk(case: Any, section: str, junk: Any) -> None:
    alias = str(JobSpec.model_fields[section].alias)
    judge(case.job | {"spec": case.job["spec"] | {alias: junk}})


@settings(max_examples=60)
@given(junk=st.dictionaries(st.sampled_from(["apiVersion", "kind", "metadata", "spec", "status", "x"]), JUNK))
def test_junk_instead_of_a_job(junk: dict[str, Any]) -> None:
    judge(junk)
    judge(minimal_job() | junk)
