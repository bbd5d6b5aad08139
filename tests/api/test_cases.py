"""The table of cases against pydantic; `tests/apiserver/test_contract.py` runs the same against the API server."""

import pytest

from peft_fsdp_api.job import InvalidJob, parse_job
from tests.api.cases import Case, invalid_cases, valid_cases


@pytest.mark.parametrize("case", valid_cases(), ids=lambda case: case.name)
def test_valid(case: Case) -> None:
    assert parse_job(case.job).spec.output.claim == "models"


@pytest.mark.parametrize("case", invalid_cases(), ids=lambda case: case.name)
def test_invalid(case: Case) -> None:
    with pytest.raises(InvalidJob) as refusal:
        parse_job(case.job)
    [problem] = refusal.value.problems
    assert problem.field == case.field
    assert case.says.lower() in problem.message.lower()
    assert "\n" not in problem.message


def test_there_are_enough_cases() -> None:
    names = [case.name for case in (*invalid_cases(), *valid_cases())]
    assert len(names) == len(set(names))
    assert len(invalid_cases()) >= 60
