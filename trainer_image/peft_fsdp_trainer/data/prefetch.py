"""One item ahead, made on a thread while the last one is used, so that no step waits for data. Used by `streaming` for
blocks of rows, by the trainer's feed and its evaluation for batches."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")

POLL_SECONDS: Final = 0.5
CLOSE_SECONDS: Final = 1.0
"""How long the end of a reader waits for an item in the making; the thread dies with the process anyway."""


class _End:
    """What is handed over when nothing more comes."""


class Prefetch(Generic[T]):
    """Takes what an iterator gives, one item ahead of its reader."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = items
        self._ready: queue.Queue[T | _End | BaseException] = queue.Queue(maxsize=1)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="prefetch", daemon=True)
        self._thread.start()

    def next(self, waiting: Callable[[], None]) -> T:
        """The next item. Calls `waiting` about twice a second until it is there; raises what making it raised, and
        EOFError after the last one."""
        while True:
            try:
                item = self._ready.get(timeout=POLL_SECONDS)
            except queue.Empty:
                waiting()
                continue
            if isinstance(item, BaseException):
                raise item
            if isinstance(item, _End):
                raise EOFError
            return item

    def __iter__(self) -> Iterator[T]:
        """All items."""
        with contextlib.suppress(EOFError):
            while True:
                yield self.next(lambda: None)

    def close(self) -> None:
        """Let the thread end after the item that it makes, and wait for that a little."""
        self._closed.set()
        with contextlib.suppress(queue.Empty):
            self._ready.get_nowait()
        self._thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    return
            self._put(_End())
        except BaseException as error:  # noqa: BLE001 - it is the reader's, on whose thread it is raised
            self._put(error)

    def _put(self, item: T | _End | BaseException) -> bool:
        """Wait for room; false where nobody will take it any more."""
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=POLL_SECONDS)
            except queue.Full:
                continue
            return True
        return False
