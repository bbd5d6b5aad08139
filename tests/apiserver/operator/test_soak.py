"""Three rounds of jobs that come, lose pods, finish and are deleted: nothing of them stays in the operator."""

import pytest

from tests.bench.scale.soak import WARM_ROUNDS, compare_with_live, run_rounds
from tests.bench.scale.world import open_world

pytestmark = [pytest.mark.apiserver, pytest.mark.slow]

ROUNDS = WARM_ROUNDS + 1
GROWTH_MIB = 20


def test_nothing_stays_of_jobs_that_are_gone():
    with open_world(pods=100) as world, world.operator() as operator:
        rests = run_rounds(world, operator, minutes=0)
        assert len(rests) == ROUNDS
        warm, last = rests[-2], rests[-1]
        assert last.tasks - warm.tasks <= 2
        assert last.files - warm.files <= 4
        assert last.memory_mib - warm.memory_mib < GROWTH_MIB
        assert compare_with_live(world, operator) == 0
