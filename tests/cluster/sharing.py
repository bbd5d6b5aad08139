"""One cluster for all processes of a test run (`pytest -n`): the first in brings it up, the last out takes it down.

Kernel locks say who is there, so a process that is killed does not keep the others from cleaning up.
"""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from dev.cluster.instance import FULL
from dev.cluster.layout import Layout

POLL_SECONDS = 0.2
OURS = "ours"


@contextmanager
def shared(bring_up: Callable[[], bool], take_down: Callable[[bool], None]) -> Iterator[None]:
    """What `bring_up` says, whether all is ours or something was there before, `take_down` is told."""
    with _lock_file("door") as door, _lock_file("room") as room:
        _enter(door, room, bring_up)
        try:
            yield
        finally:
            fcntl.flock(door, fcntl.LOCK_EX)
            room.seek(0)
            if _take(room, fcntl.LOCK_EX):
                take_down(room.read() == OURS)


@contextmanager
def nobody_in() -> Iterator[None]:
    """No process of a test run uses the cluster; those that come wait."""
    with _lock_file("room") as room:
        fcntl.flock(room, fcntl.LOCK_EX)
        yield


@contextmanager
def turn(alone: bool) -> Iterator[None]:
    """Many may be at work at a time, or one that wants to be alone."""
    with _lock_file("turn") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def _enter(door: IO[str], room: IO[str], bring_up: Callable[[], bool]) -> None:
    """One at a time, so that nobody finds a cluster that is not up yet."""
    fcntl.flock(door, fcntl.LOCK_EX)
    while True:
        if _take(room, fcntl.LOCK_EX):
            ours = bring_up()
            room.truncate(0)
            room.write(OURS if ours else "")
            room.flush()
            fcntl.flock(room, fcntl.LOCK_SH)
            break
        if _take(room, fcntl.LOCK_SH):
            break
        time.sleep(POLL_SECONDS)  # somebody is there who wants to be alone, and does not come through the door
    fcntl.flock(door, fcntl.LOCK_UN)


def _take(file: IO[str], how: int) -> bool:
    """Whether the lock could be had at once."""
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_file(name: str) -> IO[str]:
    """Beside the folder of the cluster, as its own lock is."""
    lock: Path = Layout(FULL).lock
    lock.parent.mkdir(parents=True, exist_ok=True)
    return lock.with_name(f".{FULL}-tests-{name}.lock").open("a+")
