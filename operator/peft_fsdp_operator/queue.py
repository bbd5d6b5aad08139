"""The work queue: which jobs are to be looked at, each by one pass at a time.

`handlers` and `reflector` mark a job dirty, workers run `process` for it. A job marked while its pass runs gets one
more pass, however often it was marked. After a pass a key may rest for a moment, so that a thousand events of one large
job make a few passes over its pods and not a thousand; a mark that cannot wait ends the rest. A failed pass is repeated
with exponential back-off and delays no other job; nor do the passes of one owner, however long they take, delay
those of others.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from .errors import ApiError, LeaseLost
from .line import Line

K = TypeVar("K", bound=Hashable)

UNREACHABLE_WAIT = 8.0
"""Seconds: the longest back-off where no answer came. That is the fault of no job, and all wait for its end."""

log = logging.getLogger(__name__)


class KeyedQueue(Generic[K]):
    """`process` returns the seconds after which the key is due again, or None; `rest` says for how many seconds marks
    are collected after a pass; `owner` says whose key it is."""

    def __init__(
        self,
        process: Callable[[K], Awaitable[float | None]],
        concurrency: int = 16,
        first_wait: float = 0.2,
        longest_wait: float = 60.0,
        rest: Callable[[K], float] = lambda _: 0.0,
        owner: Callable[[K], Hashable] = lambda key: key,
    ) -> None:
        self._process = process
        self._concurrency = concurrency
        self._first_wait, self._longest_wait = first_wait, longest_wait
        self._waiting: Line[K] = Line(concurrency, owner)
        self._active: set[K] = set()
        self._again: set[K] = set()
        self._restless: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._backing_off: set[K] = set()
        self._rest = rest
        self._resting: dict[K, asyncio.TimerHandle] = {}
        self._work = asyncio.Event()

    def __len__(self) -> int:
        """Keys that wait for a pass."""
        return len(self._waiting)

    @property
    def active(self) -> int:
        """Keys whose passes run."""
        return len(self._active)

    @property
    def oldest_age(self) -> float:
        """Seconds for which the first key has been waiting."""
        oldest = self._waiting.oldest
        return 0.0 if oldest is None else asyncio.get_running_loop().time() - oldest

    def mark(self, key: K, at_once: bool = False) -> None:
        """The key is dirty; `at_once`: its rest is over, or left out. During the back-off after a failure it waits for
        its turn."""
        if key in self._backing_off:
            return
        if key in self._active:
            self._again.add(key)
            if at_once:
                self._restless.add(key)
        elif key in self._resting:
            self._again.add(key)
            if at_once:
                self._resting[key].cancel()
                self._end_rest(key)
        elif key not in self._waiting:
            self._waiting.put(key, asyncio.get_running_loop().time())
            self._work.set()

    def forget(self, key: K) -> None:
        """The key is gone: no timer and no back-off of it remains."""
        self._failures.pop(key, None)
        self._backing_off.discard(key)
        self._again.discard(key)
        self._restless.discard(key)
        for timers in (self._timers, self._resting):
            if timer := timers.pop(key, None):
                timer.cancel()

    async def run(self) -> None:
        """Work until cancelled. Ends with LeaseLost if a pass finds that another replica leads."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._concurrency):
                workers.create_task(self._worker())

    async def _worker(self) -> None:
        while True:
            while (key := self._waiting.take()) is None:
                self._work.clear()
                await self._work.wait()
            await self._pass(key)
            self._waiting.give_back(key)
            if len(self._waiting):  # another one of its owner's may have its place, and another worker is free for it
                self._work.set()

    async def _pass(self, key: K) -> None:
        self._active.add(key)
        self._restless.discard(key)
        if timer := self._timers.pop(key, None):
            timer.cancel()
        try:
            due = await self._process(key)
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 - the wall between jobs: a bug in one must not stop the others
            self._active.discard(key)
            self._fail(key, error)
            return
        self._active.discard(key)
        self._failures.pop(key, None)
        loop = asyncio.get_running_loop()
        if due is not None:
            self._timers[key] = loop.call_later(due, self._ring, key)
        if due == 0:
            self._again.discard(key)
        else:
            rest = 0.0 if key in self._restless else self._rest(key)
            self._resting[key] = loop.call_later(rest, self._end_rest, key)

    def _end_rest(self, key: K) -> None:
        self._resting.pop(key, None)
        if key in self._again:
            self._again.discard(key)
            self.mark(key)

    def _fail(self, key: K, error: Exception) -> None:
        self._again.discard(key)
        count = self._failures.get(key, 0) + 1
        self._failures[key] = count
        unreachable = isinstance(error, ApiError) and error.status == 0
        longest = min(self._longest_wait, UNREACHABLE_WAIT) if unreachable else self._longest_wait
        wait = min(self._first_wait * 2 ** min(count - 1, 16), longest) * random.uniform(1, 1.2)
        if isinstance(error, ApiError):
            wait = max(wait, error.retry_after or 0)
            log.warning("pass failed, again in %.1f s: %s", wait, error, extra={"job": str(key), "failures": count})
        else:
            log.error("pass failed, again in %.1f s", wait, extra={"job": str(key)}, exc_info=error)
        self._backing_off.add(key)
        self._timers[key] = asyncio.get_running_loop().call_later(wait, self._ring, key)

    def _ring(self, key: K) -> None:
        self._timers.pop(key, None)
        self._backing_off.discard(key)
        self.mark(key)
