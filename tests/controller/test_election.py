"""Who leads knows until when, and what leaves the process is asked for it at the last moment."""

import asyncio
from datetime import UTC, datetime

import pytest

from peft_fsdp_operator.cluster import PODS
from peft_fsdp_operator.election import Election, LeaseTimes
from peft_fsdp_operator.errors import Conflict, LeaseLost
from tests.controller.test_busy_api_server import cluster


class Leases:
    """An API server with one Lease, on whose answers time passes."""

    def __init__(self, passes=lambda: None):
        self.passes, self.lease = passes, {"metadata": {"resourceVersion": "1"}, "spec": {}}

    async def get(self, *_):
        self.passes()
        return self.lease

    async def replace(self, _, __, body):
        self.lease = body
        return body


async def test_a_lease_counts_from_when_it_was_asked_for(leap):
    api, times = Leases(lambda: leap(60)), LeaseTimes(deadline=100)
    election = Election(api, "n", "lease", "me", lambda: datetime.now(UTC), times)
    await election.acquire()
    election.check()
    leap(50)
    with pytest.raises(LeaseLost):
        election.check()


async def test_a_lease_that_is_not_renewed_counts_no_longer():
    class Fails(Leases):
        async def replace(self, *_):
            raise Conflict(409, "Conflict", "somebody was faster")

    api, times = Leases(), LeaseTimes(deadline=0.2, period=0.05)
    election = Election(api, "n", "lease", "me", lambda: datetime.now(UTC), times)
    await election.acquire()
    election._cluster = Fails()
    election._cluster.lease = api.lease
    async with asyncio.timeout(5):
        with pytest.raises(LeaseLost):
            await election.keep()


async def test_no_write_leaves_once_the_lead_is_lost_and_every_read_does():
    written, leads = [], True

    def check():
        if not leads:
            raise LeaseLost("another one leads")

    async def answer(request):
        nonlocal leads
        if request.method != "GET":
            written.append(request.path)
            leads = False
        return {"metadata": {}}, 200, {}

    async with cluster(answer) as api:
        guarded = api.apart(may_write=check)
        creations = [asyncio.create_task(guarded.create(PODS, "n", {})) for _ in range(100)]
        ends = await asyncio.gather(*creations, return_exceptions=True)
        await guarded.get(PODS, "n", "tune-1-0")
        await api.create(PODS, "n", {})
    refused = [end for end in ends if isinstance(end, LeaseLost)]
    assert len(written) + len(refused) == 100 + 1
    assert len(refused) > 60  # what had left before is done
