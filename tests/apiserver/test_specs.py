"""A part of `python -m tests.specs`: generated jobs, on which the operator's code and the API server must agree."""

import pytest

from tests.specs.generator import generate
from tests.specs.run import run

SEEDS = range(1, 801)

pytestmark = pytest.mark.apiserver


async def test_the_api_server_and_the_operator_agree_on_every_spec(api_server):
    report = await run(api_server, (generate(seed) for seed in SEEDS))
    assert report.complaints == []
    assert min(report.valid, report.invalid) > len(SEEDS) // 5
    assert len(report.kinds) > 12
