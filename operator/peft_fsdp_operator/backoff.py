"""How long to wait before the next try of something that everything else needs: watches, and kopf's requests.

An API server that is back after a minute should not wait for us for another half. Used by `reflector`, `handlers` and
the middlewares for kopf.
"""

import asyncio
import itertools
import random
from collections.abc import Iterator
from typing import Final

FIRST: Final = 0.2
LONGEST: Final = 8.0
STEADY: Final = 30.0
"""Seconds: a watch that lasted for so long was a good one, however it ended."""


def wait_after(failures: int) -> float:
    """Seconds, after so many failures in a row: doubled each time up to a bound, and random by a quarter, so that
    watches which broke together do not come back together. Never more than ten."""
    return min(FIRST * 2.0 ** min(failures, 16), LONGEST) * random.uniform(0.75, 1.25)


class Endless:
    """The waits between tries that go on until they succeed. kopf begins anew with each request."""

    def __iter__(self) -> Iterator[float]:
        return map(wait_after, itertools.count())


class Pace:
    """The waits between the watches of one kind: longer and longer ones where watches break, tell of errors, or end at
    once without a word, so that neither side is kept busy with nothing."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._has_heard = False
        self._failures = self._losses = 0

    def begin(self) -> None:
        """A watch is about to be followed."""
        self._began, self._has_heard = asyncio.get_running_loop().time(), False

    def hear(self) -> None:
        """It told of something."""
        self._has_heard = True

    def wait_after_end(self) -> float:
        """Seconds until the next one, where the API server ended it: it does that to busy watches too, and those have
        to go on at once."""
        if self._end() or self._has_heard:
            self._failures = 0
            return 0.0
        return self._fail()

    def wait_after_break(self) -> float:
        """Seconds until the next one, where the connection broke or was not made."""
        if self._end() or self._has_heard:
            self._failures = 0
        return self._fail()

    def wait_after_garbage(self) -> float:
        """Seconds until the next list, where the watch told nonsense. That it made sense before does not count: each of
        these costs a list."""
        self._end()
        return self._fail()

    def wait_after_loss(self) -> float:
        """Seconds until the next list, where the API server has lost the watch's place. It answers, so the failures
        before do not count: all that could make it worse are lists that do not help."""
        self._end()
        self._losses += 1
        return wait_after(self._losses - 1)

    def _end(self) -> bool:
        """Whether the watch had lasted."""
        began, self._began = self._began, None
        lasted = began is not None and asyncio.get_running_loop().time() - began >= STEADY
        if lasted:
            self._failures = self._losses = 0
        return lasted

    def _fail(self) -> float:
        self._failures += 1
        return wait_after(self._failures)
