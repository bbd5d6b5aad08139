"""The contract as the real API server enforces it, through kubectl: the table of cases of `tests/api/cases`."""

import json
import re
from typing import Any

import pytest

from peft_fsdp_api.crd import MUTABLE
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
    "fsdp": {"version": 1},
    "training": {"seed": 1},
    "evaluation": {"every": {"steps": 5}},
    "checkpoint": {"keep": 5},
    "output": {"path": "elsewhere"},
    "hub": {"endpoint": "https://hub.example.com"},
    "cache": {"claim": "cache"},
    "workers": {"nodes": 2},
    "restart": {"application": {"limit": 9}},
    "suspend": True,
    "startDeadline": "1h",
    "activeDeadline": "2h",
    "cleanup": "delete",
    "ttlAfterFinished": "1m",
}


def test_every_section_is_tried() -> None:
    assert {field.alias for field in JobSpec.model_fields.values()} == CHANGES.keys()


def started_job() -> dict[str, Any]:
    return merged(minimal_job(), {"spec": {"dataset": {"evalSplit": "validation"}}})


def apply_change(kubectl: Kubectl, attempt: int, section: str) -> Any:
    job = started_job()
    assert kubectl("apply", "-f", "-", input=json.dumps(job)).returncode == 0
    status = json.dumps({"status": {"attempt": attempt}})
    patch = ("patch", "pfj", "llama-lora", "--subresource=status", "--type=merge", "-p", status)
    assert kubectl(*patch).returncode == 0
    return kubectl("apply", "-f", "-", input=json.dumps(merged(job, {"spec": {section: CHANGES[section]}})))


@pytest.mark.parametrize("section", sorted(CHANGES.keys() - MUTABLE))
def test_sections_fixed_by_the_first_attempt(kubectl: Kubectl, section: str) -> None:
    result = apply_change(kubectl, attempt=1, section=section)
    assert result.returncode == 1
    assert f"spec.{section} is fixed once the first attempt has started; make a new job" in result.stderr


@pytest.mark.parametrize("section", sorted(MUTABLE))
def test_sections_that_may_change_at_any_time(kubectl: Kubectl, section: str) -> None:
    assert apply_change(kubectl, attempt=3, section=section).returncode == 0


@pytest.mark.parametrize("section", ["model", "workers", "quantization"])
def test_everything_may_change_before_the_first_attempt(kubectl: Kubectl, section: str) -> None:
    assert apply_change(kubectl, attempt=0, section=section).returncode == 0


def test_a_section_cannot_be_removed_from_a_started_job(kubectl: Kubectl) -> None:
    assert apply_change(kubectl, attempt=0, section="quantization").returncode == 0
    kubectl("patch", "pfj", "llama-lora", "--subresource=status", "--type=merge", "-p", '{"status":{"attempt":1}}')
    result = kubectl("patch", "pfj", "llama-lora", "--type=merge", "-p", '{"spec":{"quantization":null}}')
    assert "spec.quantization is fixed" in result.stderr


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_applying_twice_changes_nothing(kubectl: Kubectl, example: Any) -> None:
    apply = ("apply", "--server-side", "-f", str(example), "-o", "json")
    first, second = (json.loads(kubectl(*apply).stdout)["metadata"] for _ in range(2))
    assert first["generation"] == second["generation"] == 1
    assert first["resourceVersion"] == second["resourceVersion"]


def test_the_api_server_adds_no_defaults(kubectl: Kubectl) -> None:
    result = kubectl("create", "-f", "-", "-o", "json", input=json.dumps(minimal_job()))
    assert json.loads(result.stdout)["spec"] == minimal_job()["spec"]


def test_explain_describes_every_field(kubectl: Kubectl) -> None:
    text = kubectl("explain", "pfj.spec", "--recursive").stdout
    names = set(re.findall(r"^\s+(\w+)\t", text, flags=re.MULTILINE))
    assert {"gpusPerNode", "mountPath", "tolerationSeconds", "storageDtype", "limit", "repo"} <= names
    assert "Scaling numerator" in kubectl("explain", "pfj.spec.lora.alpha").stdout
    assert "Default: 16." in kubectl("explain", "pfj.spec.lora.rank").stdout
    assert "Name of a module." in kubectl("explain", "pfj.spec.lora").stdout or "modules" in text


def test_printer_columns(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", input=json.dumps(minimal_job()))
    columns = kubectl("get", "pfj", "-o", "wide").stdout.splitlines()[0].split()
    assert columns == [
        *("NAME", "PHASE", "ATTEMPT", "PROGRESS", "LOSS", "REMAINING", "TOKENS/S"),
        *("WAITING", "FAILURE", "ADAPTER", "AGE"),
    ]
    assert "llama-lora" in kubectl("get", "ml").stdout
