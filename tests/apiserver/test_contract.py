"""The contract as the real API server enforces it, through kubectl: the table of cases of `tests/api/cases`."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from dev.gitops.verdict import kstatus
from peft_fsdp_api.crd import MUTABLE, UNSEEN, job_schema
from peft_fsdp_api.job import JobSpec
from tests.api.cases import EXAMPLES, Case, invalid_cases, merged, minimal_job, valid_cases
from tests.apiserver.conftest import Kubectl

pytestmark = pytest.mark.apiserver


@pytest.mark.parametrize("case", valid_cases(), ids=lambda case: case.name)
def test_valid(dry_kubectl: Kubectl, case: Case) -> None:
    result = dry_kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(case.job))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("case", invalid_cases(), ids=lambda case: case.name)
def test_invalid(dry_kubectl: Kubectl, case: Case) -> None:
    result = dry_kubectl("apply", "-f", "-", input=json.dumps(case.job))
    assert result.returncode == 1
    assert (case.server_field or case.field) in result.stderr
    assert case.says.lower() in result.stderr.lower()


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_example(kubectl: Kubectl, example: Any) -> None:
    result = kubectl("apply", "-f", str(example))
    assert result.returncode == 0, result.stderr


def test_the_minimal_job_has_at_most_15_lines() -> None:
    lines = (EXAMPLES / "minimal.yaml").read_text().splitlines()
    assert len([line for line in lines if line.strip() and not line.startswith("#")]) <= 15


def test_problems_are_reported_together(dry_kubectl: Kubectl) -> None:
    change = {"lora": {"rank": "x"}, "workers": {"nodes": 0}, "fsdp": {"sharding": "y"}, "suspend": 1}
    result = dry_kubectl("apply", "-f", "-", input=json.dumps(merged(minimal_job(), {"spec": change})))
    for field in ("spec.lora.rank", "spec.workers.nodes", "spec.fsdp.sharding", "spec.suspend"):
        assert field in result.stderr


def test_broken_rules_are_reported_together(dry_kubectl: Kubectl) -> None:
    change = {
        "fsdp": {"sharding": "none", "cpuOffload": True},
        "evaluation": {},
        "training": {"epochs": 1, "maxSteps": 1},
    }
    result = dry_kubectl("apply", "-f", "-", input=json.dumps(merged(minimal_job(), {"spec": change})))
    for field in ("spec.fsdp.cpuOffload", "spec.evaluation", "spec.training.maxSteps"):
        assert field in result.stderr


# A change of each section of the spec that leaves it valid.
CHANGES: dict[str, Any] = {
    "model": {"revision": "main"},
    "dataset": {"evalSplit": "test"},
    "lora": {"rank": 8},
    "quantization": {"scheme": "nf4"},
    "fsdp": {"sharding": "none"},
    "training": {"seed": 1},
    "evaluation": {"every": {"steps": 5}},
    "checkpoint": {"keep": 5},
    "output": {"path": "elsewhere"},
    "hub": {"endpoint": "https://hub.example.com"},
    "cache": {"claim": "cache"},
    "workers": {"nodes": 2},
    "restart": {"application": {"limit": 9}},
    "nodeLostTimeout": "10m",
    "suspend": True,
    "startDeadline": "1h",
    "activeDeadline": "2h",
    "stallTimeout": "1h",
    "stallAction": "restart",
    "cleanup": "delete",
    "ttlAfterFinished": "1m",
}


def test_every_section_is_tried() -> None:
    assert {field.alias for field in JobSpec.model_fields.values()} == CHANGES.keys()


@pytest.fixture(scope="module")
def jobs_by_attempt(dry_kubectl: Kubectl) -> Iterator[dict[int, dict[str, Any]]]:
    """A job before its first attempt, and one in its first."""
    jobs = {}
    for attempt in (0, 1):
        change = {"metadata": {"name": f"attempt-{attempt}"}, "spec": {"dataset": {"evalSplit": "validation"}}}
        jobs[attempt] = merged(minimal_job(), change)
        dry_kubectl("create", "-f", "-", input=json.dumps(jobs[attempt]))
        status = json.dumps({"status": {"attempt": attempt}})
        dry_kubectl("patch", "pfj", f"attempt-{attempt}", "--subresource=status", "--type=merge", "-p", status)
    yield jobs
    dry_kubectl("delete", "pfj", "--all")


def changed(kubectl: Kubectl, job: dict[str, Any], section: str, value: Any) -> subprocess.CompletedProcess[str]:
    patch = json.dumps({"spec": {section: value}})
    return kubectl("patch", "pfj", job["metadata"]["name"], "--type=merge", "--dry-run=server", "-p", patch)


@pytest.mark.parametrize("section", sorted(CHANGES.keys() - MUTABLE))
def test_sections_fixed_by_the_first_attempt(dry_kubectl: Kubectl, jobs_by_attempt: Any, section: str) -> None:
    result = changed(dry_kubectl, jobs_by_attempt[1], section, CHANGES[section])
    assert result.returncode == 1
    assert f"spec.{section} is fixed once the first attempt has started; make a new job" in result.stderr


@pytest.mark.parametrize("section", sorted(MUTABLE))
def test_sections_that_may_change_at_any_time(dry_kubectl: Kubectl, jobs_by_attempt: Any, section: str) -> None:
    result = changed(dry_kubectl, jobs_by_attempt[1], section, CHANGES[section])
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("section", ["model", "workers", "quantization"])
def test_everything_may_change_before_the_first_attempt(
    dry_kubectl: Kubectl, jobs_by_attempt: Any, section: str
) -> None:
    assert changed(dry_kubectl, jobs_by_attempt[0], section, CHANGES[section]).returncode == 0


def test_a_section_cannot_be_removed_from_a_started_job(dry_kubectl: Kubectl, jobs_by_attempt: Any) -> None:
    result = changed(dry_kubectl, jobs_by_attempt[1], "hub", None)
    assert "spec.hub is fixed" in result.stderr


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_applying_twice_changes_nothing(kubectl: Kubectl, example: Any) -> None:
    apply = ("apply", "--server-side", "-f", str(example), "-o", "json")
    first, second, third = (json.loads(kubectl(*apply).stdout) for _ in range(3))
    assert first["metadata"]["generation"] == second["metadata"]["generation"] == 1
    assert (first["spec"], first["status"]) == (second["spec"], second["status"])
    # The default of the status is stored with the second write of whatever kind; an operator would have been faster.
    assert second["metadata"]["resourceVersion"] == third["metadata"]["resourceVersion"]


def test_the_api_server_adds_no_defaults(kubectl: Kubectl) -> None:
    result = kubectl("create", "-f", "-", "-o", "json", input=json.dumps(minimal_job()))
    assert json.loads(result.stdout)["spec"] == minimal_job()["spec"]


def test_a_job_that_no_operator_has_seen_says_so(kubectl: Kubectl) -> None:
    """kstatus, which Flux waits by, takes an object without a status for one that is done."""
    created = json.loads(kubectl("create", "-f", "-", "-o", "json", input=json.dumps(minimal_job())).stdout)
    assert created["status"] == UNSEEN
    assert kstatus([created]) == ["InProgress"]


def field_names(node: dict[str, Any]) -> set[str]:
    below = [
        *node.get("properties", {}).values(),
        *(node[key] for key in ("items", "additionalProperties") if key in node),
    ]
    return set(node.get("properties", {})).union(*(field_names(inner) for inner in below))


def test_explain_shows_every_field(dry_kubectl: Kubectl) -> None:
    shown = dry_kubectl("explain", "pfj.spec", "--recursive").stdout
    assert set(re.findall(r"^\s+(\w+)\t", shown, flags=re.MULTILINE)) == field_names(job_schema()["properties"]["spec"])


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("spec.lora.rank", "Default: 16."),
        ("spec.startDeadline", "absent means no limit"),
        ("spec.workers.volumeMounts.mountPath", "Absolute path in the container."),
        ("spec.model.attention", "Attention kernel."),
        ("status.lastFailure.hint", "What to change."),
    ],
)
def test_explain_tells_unit_default_and_effect(dry_kubectl: Kubectl, field: str, words: str) -> None:
    assert words in " ".join(dry_kubectl("explain", f"pfj.{field}").stdout.split())


def test_printer_columns(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", input=json.dumps(minimal_job()))
    columns = kubectl("get", "pfj", "-o", "wide").stdout.splitlines()[0].split()
    assert columns == [
        *("NAME", "PHASE", "ATTEMPT", "PROGRESS", "LOSS", "REMAINING", "TOKENS/S"),
        *("WAITING", "FAILURE", "ADAPTER", "AGE"),
    ]
    assert "llama-lora" in kubectl("get", "ml").stdout
