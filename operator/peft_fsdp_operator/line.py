"""The keys that wait for a pass, in the order in which they came, but with the passes shared out. Used by `queue`."""

from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from .shares import Shares

K = TypeVar("K", bound=Hashable)


class Line(Generic[K]):
    """Owners take turns, and each has only its share of the passes at a time."""

    def __init__(self, places: int, owner: Callable[[K], Hashable]) -> None:
        self._owner, self._shares = owner, Shares[Hashable](places)
        self._since: dict[K, float] = {}
        self._keys: dict[Hashable, deque[K]] = {}

    def __len__(self) -> int:
        return len(self._since)

    def __contains__(self, key: K) -> bool:
        return key in self._since

    @property
    def oldest(self) -> float | None:
        """Since when the first key waits."""
        return next(iter(self._since.values()), None)

    def put(self, key: K, now: float) -> None:
        """At the end of its owner's keys."""
        self._since[key] = now
        self._keys.setdefault(self._owner(key), deque()).append(key)

    def take(self) -> K | None:
        """The next key that may have a pass, and its place with it."""
        owner = next(filter(self._shares.may_take, self._keys), None)
        if owner is None:
            return None
        self._shares.take(owner)
        keys = self._keys.pop(owner)
        key = keys.popleft()
        if keys:
            self._keys[owner] = keys
        del self._since[key]
        return key

    def give_back(self, key: K) -> None:
        """Its pass is over."""
        self._shares.give_back(self._owner(key))
