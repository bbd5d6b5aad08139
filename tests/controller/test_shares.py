"""However many owners are slow, there is room for one more; one that is alone gets two thirds."""

import asyncio

import pytest

from peft_fsdp_operator.cluster.slots import Slots
from peft_fsdp_operator.line import Line
from peft_fsdp_operator.shares import Shares


@pytest.mark.parametrize(("owners", "held", "free"), [(1, 32, 16), (2, 39, 9), (3, 42, 6), (10, 46, 2)])
def test_what_is_left_free(owners, held, free):
    shares = Shares(48)
    for _ in range(48):
        for owner in range(owners):
            if shares.may_take(owner):
                shares.take(owner)
    assert (sum(shares._held.values()), shares._free) == (held, free)
    assert shares.may_take("another")


@pytest.mark.parametrize("places", [1, 2])
def test_one_owner_alone_may_have_the_few_that_there_are(places):
    shares = Shares(places)
    for _ in range(places):
        assert shares.may_take("a")
        shares.take("a")
    assert not shares.may_take("b")


def test_owners_take_turns_and_the_oldest_is_known():
    line = Line(places=4, owner=lambda key: key[0])
    for moment, key in enumerate(("a1", "a2", "b1", "a3")):
        line.put(key, moment)
    assert line.oldest == 0
    assert [line.take(), line.take(), line.take(), line.take()] == ["a1", "b1", "a2", None]
    assert ("a3" in line, line.oldest) == (True, 3)
    line.give_back("a1")
    assert line.take() == "a3"


async def test_a_slot_is_handed_on_whoever_is_cancelled():
    slots, log = Slots(1), []

    async def hold(name, seconds):
        async with slots.slot(name):
            log.append(name)
            await asyncio.sleep(seconds)

    first, *others = [asyncio.create_task(hold(name, 0.01)) for name in ("a", "b", "c", "b")]
    await asyncio.sleep(0)
    others[0].cancel()
    await first  # the place is given to the next one in this moment
    others[1].cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await hold("d", 0)
    assert log == ["a", "b", "d"]
