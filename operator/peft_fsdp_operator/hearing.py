"""When the API server last said anything on the watches of the jobs themselves, of which kopf has one per namespace.

`engine` makes it a figure beside those of its own mirrors; `handlers` lets it listen to kopf's session.
"""

import asyncio
from collections.abc import Iterable


class Hearing:
    """Silence counts from when kopf begins: one that never gets a list hears nothing either."""

    def __init__(self, namespaces: Iterable[str | None]) -> None:
        self._namespaces = tuple(namespaces)
        self._heard_at: dict[str | None, float] = {}

    def begin(self) -> None:
        """kopf is about to ask."""
        for namespace in self._namespaces:
            self.hear(namespace)

    def hear(self, namespace: str | None) -> None:
        """A list, an event, a bookmark, or that it may not be read."""
        self._heard_at[namespace] = asyncio.get_running_loop().time()

    @property
    def age(self) -> float:
        """Seconds since the most silent watch said something; 0 in a replica that stands by."""
        return asyncio.get_running_loop().time() - min(self._heard_at.values()) if self._heard_at else 0.0
