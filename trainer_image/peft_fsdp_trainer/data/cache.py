"""A folder that is made once, by the first process that wants it. Called by `prepare`.

A name is a key of everything that goes into the folder, so what is there is right by construction. It appears by one
rename; the ranks of a node, and jobs that share the cache, take turns with a lock on a file beside it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_POLL_SECONDS = 0.2


def made_once(folder: Path, make: Callable[[Path], None], *, waiting: Callable[[], None]) -> Path:
    """`folder`, after `make` has filled it, here or in another process. `waiting` is called while another works."""
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.with_name(f"{folder.name}.lock"), waiting):
        if not folder.exists():
            _make(folder, make)
    return folder


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"unfinished-{folder.name}-"))
    try:
        make(unfinished)
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def _locked(file: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """An exclusive lock, which the kernel gives back when its holder dies."""
    descriptor = os.open(file, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        while not _try_lock(descriptor):
            waiting()
            time.sleep(LOCK_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
