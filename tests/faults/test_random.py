"""Random lives under random faults: what must hold holds in the API server's audit log."""

import pytest

from tests.faults.plans import make_plan
from tests.faults.random_runs import RandomRuns
from tests.faults.site import open_sites

pytestmark = pytest.mark.apiserver

SEED, RUNS, JOBS, SITES = 20261125, 60, 20, 5


def test_a_plan_follows_from_its_seed():
    assert [make_plan(seed) for seed in range(50)] == [make_plan(seed) for seed in range(50)]
    assert len({make_plan(seed).turns for seed in range(50)}) > 30


async def test_no_random_life_breaks_an_invariant(plane):
    async with open_sites(plane, SITES) as sites:
        report = await RandomRuns(plane, sites).run(range(SEED, SEED + RUNS), JOBS)
    assert report.violations == []
    assert report.runs == RUNS
    assert report.kills > 0
    assert len(report.faults) >= 6
