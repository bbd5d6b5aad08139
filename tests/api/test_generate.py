"""The generated files: committed, complete, and found when stale."""

from pathlib import Path

import pytest
import yaml

from peft_fsdp_api.crd import crd
from peft_fsdp_api.generate import chart_template, generated_files, main, stale_files
from peft_fsdp_api.job import JobSpec
from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.reference import job_reference, reasons_reference

ROOT = Path(__file__).parents[2]


def test_the_committed_files_are_fresh() -> None:
    assert list(stale_files(ROOT)) == []


def test_stale_files_are_named_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path)]) == 0
    assert main(["--root", str(tmp_path), "--check"]) == 0
    (tmp_path / "docs/reasons.md").write_text("edited by hand")
    assert main(["--root", str(tmp_path), "--check"]) == 1
    assert "docs/reasons.md is stale" in capsys.readouterr().err


def test_the_manifest_is_the_crd() -> None:
    assert yaml.safe_load(generated_files()[Path("manifests/crd.yaml")]) == crd()


def test_the_chart_template_escapes_braces() -> None:
    template = chart_template("kind: X\nmetadata:\n  name: x\nd: '{{ x }}'\n")
    assert """d: '{{ "{{" }} x }}'""" in template
    assert template.index("helm.sh/resource-policy: keep") < template.index("name: x")


def test_the_reference_has_every_section_and_reason() -> None:
    reference = job_reference()
    assert [f for f in JobSpec.model_fields.values() if f"| `{f.alias}` |" not in reference] == []
    assert "## spec.restart.application" in reference
    assert "## spec.workers.volumeMounts[]" in reference
    assert [reason for reason in Reason if f"| `{reason}` |" not in reasons_reference()] == []
