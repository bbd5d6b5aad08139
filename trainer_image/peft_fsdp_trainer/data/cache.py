"""A folder that is made once, by the first process that wants it. Called by `prepare`.

A name is a key of everything that goes into the folder, so what is there is right by construction. It appears by one
rename, after its files have reached the disk. The ranks of a node, and jobs that share the cache, take turns. Where the
volume has no locks, several may work on the same thing, and the first one to finish wins.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from ..flush import flush, flush_tree
from ..log import LOGGER
from ..turns import if_free, one_at_a_time

UNFINISHED: Final = "unfinished-"
ABANDONED_SECONDS = 3600.0
"""After so long without a change an unfinished folder is nobody's work, wherever that somebody would be."""


def made_once(
    folder: Path,
    make: Callable[[Path], None],
    *,
    waiting: Callable[[], None],
    is_whole: Callable[[Path], bool] = Path.exists,
) -> Path:
    """`folder`, after `make` has filled it, here or in another process. `waiting` is called while another works.

    A folder that is not `is_whole` any more is made again.
    """
    if folder.exists() and is_whole(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(_lock_of(folder), waiting):
        if folder.exists() and not is_whole(folder):
            LOGGER.warning("%s in the cache is damaged and is made again", folder)
            _remove_damaged(folder)
        if not folder.exists():
            _remove_abandoned(folder.parent)
            _make(folder, make)
    return folder


def _make(folder: Path, make: Callable[[Path], None]) -> None:
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{UNFINISHED}{folder.name}-"))
    try:
        make(unfinished)
        unfinished.chmod(0o755)
        flush_tree(unfinished)
        _put_into_place(unfinished, folder)
        flush(folder.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _put_into_place(unfinished: Path, folder: Path) -> None:
    try:
        unfinished.rename(folder)
    except OSError:
        # Where locks do not reach, somebody else may have finished the same folder first.
        if not folder.exists():
            raise


def _remove_damaged(folder: Path) -> None:
    """Out of its place in one move, so that nobody takes what is left of it for whole."""
    aside = folder.with_name(f"{UNFINISHED}{folder.name}-damaged")
    shutil.rmtree(aside, ignore_errors=True)
    with suppress(FileNotFoundError):  # where locks do not reach, somebody else may have moved it
        folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def _remove_abandoned(cache: Path) -> None:
    """Remove what killed processes left, whatever it was to become: it may be as large as all that is kept."""
    for unfinished in cache.glob(f"{UNFINISHED}*-*"):
        key = unfinished.name.removeprefix(UNFINISHED).rpartition("-")[0]
        if time.time() - _last_change(unfinished) < ABANDONED_SECONDS:
            continue
        with suppress(PermissionError):  # of another user: theirs to remove
            _remove_if_nobodys(unfinished, _lock_of(cache / key))


def _remove_if_nobodys(unfinished: Path, lock: Path) -> None:
    with if_free(lock) as free:
        if free:
            LOGGER.info("removing %s: it was never completed", unfinished)
            shutil.rmtree(unfinished, ignore_errors=True)


def _last_change(folder: Path) -> float:
    """When the folder or a file in it was written last, in Unix time; 0 where it is gone."""
    times = [0.0]
    for path in (folder, *folder.glob("*")):
        with suppress(FileNotFoundError):
            times.append(path.stat().st_mtime)
    return max(times)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")
