"""Turns at work that the ranks of a node, and pods that share a volume, would otherwise all do. Used by `data.cache`
and `model_source`.

The lock only saves work. Volumes without locks, or whose locks end at a node, cost the time of those who work on the
same thing; a marker in place of a lock would outlive its pod and stop all that come after it.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

POLL_SECONDS: Final = 0.2
NO_LOCKS: Final = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def one_at_a_time(lock: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of a file, which the kernel gives back when its holder dies. `waiting` is called about five times a
    second while another has it."""
    descriptor = _open(lock)
    try:
        while not _try_lock(descriptor):
            waiting()
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def if_free(lock: Path) -> Iterator[bool]:
    """Whether nobody else has the lock, which is held then."""
    descriptor = _open(lock)
    try:
        yield _try_lock(descriptor)
    finally:
        os.close(descriptor)


def _open(lock: Path) -> int:
    return os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)


def _try_lock(descriptor: int) -> bool:
    """Whether the lock is ours, or the volume has none to give."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    return True
