"""How many of a limited number of places one owner may hold, so that some are left for the others.

A namespace whose admission webhook takes ten seconds for each pod would hold every write and every pass that may be
under way. Each owner may take a place only while it holds fewer than twice as many as are free: one alone gets two
thirds, two get four fifths together, and however many are slow, there is room for one more. Used by `queue` for passes
and by `cluster` for writes.
"""

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

O = TypeVar("O", bound=Hashable)  # noqa: E741 - an owner


class Shares(Generic[O]):
    """Only counts; who waits for a place is the caller's affair."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._held: Counter[O] = Counter()

    def may_take(self, owner: O) -> bool:
        """Whether a place is free for this owner."""
        return self._held[owner] < 2 * self._free

    def take(self, owner: O) -> None:
        """One place less."""
        self._free -= 1
        self._held[owner] += 1

    def give_back(self, owner: O) -> None:
        """One place more."""
        self._free += 1
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
