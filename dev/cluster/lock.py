"""One command at a time per instance: the second waits and then finds the work done."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from dev.cluster.layout import Layout


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """The kernel gives the lock back when its holder dies, however it dies."""
    layout.lock.parent.mkdir(parents=True, exist_ok=True)
    with layout.lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
