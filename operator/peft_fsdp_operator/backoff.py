"""How long to wait before the next try of something that everything else needs: watches, and kopf's requests.

An API server that is back after a minute should not wait for us for another half. Used by `reflector` and `handlers`.
"""

import itertools
import random
from collections.abc import Iterator
from typing import Final

FIRST: Final = 0.2
LONGEST: Final = 8.0


def wait_after(failures: int) -> float:
    """Seconds, after so many failures in a row: doubled each time up to a bound, and random by a quarter, so that
    watches which broke together do not come back together. Never more than ten."""
    return min(FIRST * 2.0 ** min(failures, 16), LONGEST) * random.uniform(0.75, 1.25)


class Endless:
    """The waits between tries that go on until they succeed. kopf begins anew with each request."""

    def __iter__(self) -> Iterator[float]:
        return map(wait_after, itertools.count())
