"""An event that the API server does not answer holds up no other."""

import pytest

from tests.apiserver.operator.world import until as until_told
from tests.faults.eyes import until
from tests.faults.rules import Hang, Match, Rule
from tests.faults.site import open_sites

pytestmark = pytest.mark.apiserver


async def test_an_event_that_is_not_answered_holds_up_no_other(plane):
    async with open_sites(plane, 1) as (site,):
        hang = Rule(Match(job="first", point="create events AttemptStarted"), Hang())
        site.proxy.rules = [hang]
        await site.submit("first", nodes=1)
        await until(lambda: hang.struck)
        await site.submit("second", nodes=1)

        async def told():
            return "AttemptStarted" in await _reasons(site, "second")

        await until_told(told, seconds=15)  # the request is given up after 30 s
        assert "AttemptStarted" not in await _reasons(site, "first")
    assert site.exits == 0


async def _reasons(site, job):
    return [reason for reason, _ in await site.world.events(job)]
