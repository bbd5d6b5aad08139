"""A gang of a thousand pods takes only a share of the writes that may be under way, and a smaller one beside others."""

import asyncio

import pytest

from peft_fsdp_operator.children import WRITES_BESIDE_OTHERS, WRITES_PER_JOB, _all
from peft_fsdp_operator.cluster.client import WRITES_AT_ONCE
from peft_fsdp_operator.errors import Refused


class Writes:
    """Counts how many are under way at a time, at most."""

    def __init__(self, seconds):
        self.seconds, self.under_way, self.most = seconds, 0, 0

    async def write(self):
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(self.seconds)
        self.under_way -= 1


@pytest.mark.parametrize(("is_alone", "share"), [(True, WRITES_PER_JOB), (False, WRITES_BESIDE_OTHERS)])
async def test_one_job_leaves_room_for_others(is_alone, share):
    writes = Writes(seconds=0)
    errors = await _all([writes.write() for _ in range(1000)], lambda: is_alone)
    assert (len(errors), writes.most) == (1000, share)
    assert share <= 2 * WRITES_AT_ONCE / 3


async def test_a_job_that_is_alone_again_takes_its_whole_share():
    writes, answers = Writes(seconds=0.01), iter([False] * 40)
    await _all([writes.write() for _ in range(200)], lambda: next(answers, True))
    assert writes.most == WRITES_PER_JOB


async def test_errors_come_back_in_the_order_of_what_was_to_be_done():
    async def write(number: int) -> None:
        await asyncio.sleep(0.001 * (3 - number))
        if number:
            raise Refused(422, "Invalid", str(number))

    errors = await _all([write(number) for number in range(3)], lambda: True)
    assert [error and error.message for error in errors] == [None, "1", "2"]


async def test_a_bug_in_one_write_is_told_once_all_others_are_done():
    done = []

    async def write(number: int) -> None:
        if number == 1:
            raise KeyError("a bug")
        await asyncio.sleep(0)
        done.append(number)

    with pytest.raises(KeyError):
        await _all([write(number) for number in range(40)], lambda: True)
    assert len(done) == 39
