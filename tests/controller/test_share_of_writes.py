"""A gang of a thousand pods takes only a share of the writes that may be under way."""

import asyncio

from peft_fsdp_operator.children import WRITES_PER_JOB, _all
from peft_fsdp_operator.cluster.client import WRITES_AT_ONCE


async def test_one_job_leaves_room_for_others():
    under_way, most = 0, 0

    async def write() -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    errors = await _all([write() for _ in range(1000)])
    assert (len(errors), most) == (1000, WRITES_PER_JOB)
    assert WRITES_PER_JOB <= 2 * WRITES_AT_ONCE / 3
