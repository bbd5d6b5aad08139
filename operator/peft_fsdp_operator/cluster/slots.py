"""Bounds the writes under way, in a way that one slow namespace leaves room for the others'. Used by `client`."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..shares import Shares

Waiter = asyncio.Future[None]


class Slots:
    """Namespaces that wait are served in turn."""

    def __init__(self, places: int) -> None:
        self._shares: Shares[str] = Shares(places)
        self._waiting: dict[str, deque[Waiter]] = {}

    @asynccontextmanager
    async def slot(self, namespace: str) -> AsyncIterator[None]:
        """Wait for a place, and hold it meanwhile."""
        if namespace in self._waiting or not self._shares.may_take(namespace):
            await self._wait(namespace)
        else:
            self._shares.take(namespace)
        try:
            yield
        finally:
            self._give_back(namespace)

    async def _wait(self, namespace: str) -> None:
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(namespace, deque()).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._give_back(namespace)
            raise

    def _give_back(self, namespace: str) -> None:
        self._shares.give_back(namespace)
        served = True
        while served:
            served = bool([one for one in list(self._waiting) if self._serve(one)])

    def _serve(self, namespace: str) -> bool:
        """Give the first that waits in a namespace its place, if it may have one, and let the other namespaces go
        first the next time."""
        waiters = self._waiting[namespace]
        while waiters and waiters[0].done():  # cancelled meanwhile
            waiters.popleft()
        served = bool(waiters) and self._shares.may_take(namespace)
        if served:
            self._shares.take(namespace)
            waiters.popleft().set_result(None)
        del self._waiting[namespace]
        if waiters:
            self._waiting[namespace] = waiters
        return served
