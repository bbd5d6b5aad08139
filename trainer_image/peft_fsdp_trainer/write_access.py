"""Says who may not write where. Pods are no root, and many volumes leave their folders to the user who made them.

Without it the first file of a run ends as an unforeseen error, which is retried and fails again. Used before anything
is loaded, on rank 0.
"""

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .errors import VolumeNotWritable

DENIED: Final = (errno.EACCES, errno.EPERM)
READ_ONLY_HINT: Final = (
    "Give it a volume that can be written: look at its access modes and readOnly, and whether the node has mounted it "
    "read-only after errors of the disk."
)


@contextlib.contextmanager
def naming_unwritable(folder: Path, field: str) -> Iterator[None]:
    """Turn what the system refuses in the block into VolumeNotWritable, with whose `folder` is. `field` of the spec
    names its volume."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EROFS:
            message = f"{folder} (spec.{field}) cannot be written: its file system is mounted read-only"
            raise VolumeNotWritable(message, hint=READ_ONLY_HINT) from error
        if error.errno not in DENIED:
            raise
        raise VolumeNotWritable(
            f"user {os.geteuid()} (group {os.getegid()}) may not write to {folder} (spec.{field}): {_owner(folder)}"
        ) from error


def check_writable(folder: Path, field: str) -> None:
    """Make the folder, where it is missing, and a file in it that is gone at once. Raises VolumeNotWritable."""
    with naming_unwritable(folder, field):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


def _owner(folder: Path) -> str:
    """Whose the folder is, or the nearest one above it that can be seen."""
    for path in (folder, *folder.parents):
        with contextlib.suppress(OSError):
            facts = path.stat()
            mode = stat.filemode(facts.st_mode)
            return f"{path} belongs to user {facts.st_uid} (group {facts.st_gid}), {mode}"
    return "nothing of its path can be seen"
