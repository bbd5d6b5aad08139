"""A part of `python -m tests.specs`: generated jobs, on which the operator's code and the API server must agree."""

import pytest

from tests.apiserver.conftest import api_server
from tests.specs.generator import generate
from tests.specs.run import run
from tests.specs.verdicts import Answer, complaints

__all__ = ["api_server"]
SEEDS = range(1, 801)
VALID = Answer(201, "")


@pytest.mark.apiserver
async def test_the_api_server_and_the_operator_agree_on_every_spec(api_server):
    report = await run(api_server, (generate(seed) for seed in SEEDS))
    assert report.complaints == []
    assert min(report.valid, report.invalid) > len(SEEDS) // 5
    assert len(report.kinds) > 12


def test_a_seed_gives_the_same_job_every_time():
    assert [generate(seed) for seed in range(50)] == [generate(seed) for seed in range(50)]


def test_a_disagreement_is_told():
    refused = next(one for one in map(generate, SEEDS) if list(complaints(one, VALID)))
    [told, *_] = complaints(refused, VALID)
    assert "the API server: 201 valid" in told


def test_a_refusal_that_names_another_field_is_told():
    refused = next(one for one in map(generate, SEEDS) if list(complaints(one, VALID)))
    [told] = complaints(refused, Answer(422, "spec.elsewhere is wrong"))
    assert told.startswith("the API server names none of")
