"""One pass per key, nothing lost, failures kept apart."""

import asyncio
import contextlib

import pytest

from peft_fsdp_operator.errors import LeaseLost, Unavailable
from peft_fsdp_operator.queue import KeyedQueue


class Passes:
    """Counts passes; a pass lasts until it is let go."""

    def __init__(self):
        self.log, self.active, self.gate = [], set(), asyncio.Event()
        self.gate.set()
        self.answers = {}

    async def __call__(self, key):
        assert key not in self.active
        self.active.add(key)
        self.log.append(key)
        await self.gate.wait()
        self.active.discard(key)
        answer = self.answers.get(key)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def until(self, count, key):
        async with asyncio.timeout(10):
            while self.log.count(key) < count:
                await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def queue_of(passes, **settings):
    queue = KeyedQueue(passes, **settings)
    task = asyncio.create_task(queue.run())
    yield queue
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_marks_of_one_key_collapse_into_one_pass_and_one_more():
    passes = Passes()
    passes.gate.clear()
    async with queue_of(passes) as queue:
        queue.mark("a")
        await passes.until(1, "a")
        for _ in range(5):
            queue.mark("a")
        passes.gate.set()
        await passes.until(2, "a")
        await settle()
        assert passes.log == ["a", "a"]


async def test_a_slow_key_does_not_hold_up_others():
    passes = Passes()
    passes.gate.clear()
    async with queue_of(passes, concurrency=2) as queue:
        queue.mark("slow")
        await passes.until(1, "slow")
        queue.mark("other")
        await passes.until(1, "other")


async def test_a_key_comes_back_when_it_is_due():
    passes = Passes()
    passes.answers["a"] = 0.01
    async with queue_of(passes) as queue:
        queue.mark("a")
        await passes.until(3, "a")


@pytest.mark.parametrize("error", [Unavailable(503, "Down", "later"), ZeroDivisionError("a bug")])
async def test_a_failed_pass_is_repeated_and_marks_wait_for_it(error, leap):
    passes = Passes()
    passes.answers["a"] = error
    async with queue_of(passes, first_wait=60.0) as queue:
        queue.mark("a")
        await passes.until(1, "a")
        await settle()
        queue.mark("a")
        await settle()
        assert passes.log == ["a"]
        leap(75)
        await passes.until(2, "a")


async def test_the_server_says_when_to_come_back():
    passes = Passes()
    passes.answers["a"] = Unavailable(429, "TooManyRequests", "slow down", retry_after=30)
    async with queue_of(passes, first_wait=0.001) as queue:
        queue.mark("a")
        await passes.until(1, "a")
        await asyncio.sleep(0.1)
        assert passes.log == ["a"]


async def test_a_lost_lease_ends_the_queue():
    passes = Passes()
    passes.answers["a"] = LeaseLost("gone")
    queue = KeyedQueue(passes)
    queue.mark("a")
    with pytest.RaisesGroup(LeaseLost):
        await queue.run()


async def test_a_forgotten_key_does_not_come_back(leap):
    passes = Passes()
    passes.answers["a"] = 60.0
    async with queue_of(passes) as queue:
        queue.mark("a")
        await passes.until(1, "a")
        await settle()
        queue.forget("a")
        leap(61)
        await settle()
        assert passes.log == ["a"]


async def test_marks_during_a_rest_make_one_pass_at_its_end(leap):
    passes = Passes()
    async with queue_of(passes, rest=lambda _: 60.0) as queue:
        queue.mark("large")
        await passes.until(1, "large")
        for _ in range(50):
            queue.mark("large")
            await settle()
        assert passes.log.count("large") == 1
        leap(61)
        await passes.until(2, "large")
        await settle()
        leap(61)
        await settle()
    assert passes.log.count("large") == 2


async def test_a_pass_that_is_due_at_once_does_not_rest():
    passes = Passes()
    passes.answers["job"] = 0.0
    async with queue_of(passes, rest=lambda _: 60.0) as queue:
        queue.mark("job")
        await passes.until(5, "job")


async def test_a_mark_that_cannot_wait_ends_a_rest():
    passes = Passes()
    async with queue_of(passes, rest=lambda _: 60.0) as queue:
        queue.mark("large")
        await passes.until(1, "large")
        await settle()
        queue.mark("large")
        await settle()
        assert passes.log == ["large"]
        queue.mark("large", at_once=True)
        await passes.until(2, "large")
        await settle()
        queue.mark("large")
        await settle()
        assert passes.log == ["large", "large"]


async def test_a_pass_during_which_such_a_mark_comes_is_followed_by_one_without_a_rest():
    passes = Passes()
    passes.gate.clear()
    async with queue_of(passes, rest=lambda _: 60.0) as queue:
        queue.mark("large")
        await passes.until(1, "large")
        queue.mark("large", at_once=True)
        passes.gate.set()
        await passes.until(2, "large")
        queue.mark("large")
        await settle()
        assert passes.log == ["large", "large"]


async def test_no_mark_ends_a_back_off():
    passes = Passes()
    passes.answers["a"] = Unavailable(503, "Down", "later")
    async with queue_of(passes, first_wait=60.0) as queue:
        queue.mark("a")
        await passes.until(1, "a")
        await settle()
        queue.mark("a", at_once=True)
        await settle()
        assert passes.log == ["a"]


async def test_the_passes_of_one_owner_leave_room_for_those_of_others():
    passes = Passes()
    passes.gate.clear()
    async with queue_of(passes, concurrency=16, owner=lambda key: key[0]) as queue:
        for number in range(40):
            queue.mark(f"a{number}")
        await passes.until(1, "a10")
        queue.mark("b0")
        await passes.until(1, "b0")
        assert len(passes.active) == 12
        passes.gate.set()
        await passes.until(1, "a39")
        assert (len(queue), queue.oldest_age) == (0, 0)
