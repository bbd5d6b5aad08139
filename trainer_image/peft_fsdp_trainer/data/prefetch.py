"""One item ahead, made on a thread while the last one is used. Used by `streaming`, so that no step waits for data."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")

POLL_SECONDS: Final = 0.5


class Prefetch(Generic[T]):
    """Takes what an endless iterator gives, one item ahead of its reader."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._ready: queue.Queue[T | BaseException] = queue.Queue(maxsize=1)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="prefetch", daemon=True)
        self._thread.start()

    def next(self, waiting: Callable[[], None]) -> T:
        """The next item. Calls `waiting` about twice a second until it is there; raises what making it raised."""
        while True:
            try:
                item = self._ready.get(timeout=POLL_SECONDS)
            except queue.Empty:
                waiting()
                continue
            if isinstance(item, BaseException):
                raise item
            return item

    def close(self) -> None:
        """Let the thread end after the item that it makes."""
        self._closed.set()
        with contextlib.suppress(queue.Empty):
            self._ready.get_nowait()
        self._thread.join()

    def _work(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - it is the reader's, on whose thread it is raised
            self._put(error)

    def _put(self, item: T | BaseException) -> bool:
        """Wait for room; false where nobody will take it any more."""
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False
