"""Says which volume is full. Libraries write in many ways and word it in as many, some without the system's error.

Used where the trainer writes much: downloads, data cache, checkpoints, the exported adapter.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from peft_fsdp_api.progress import Stage
from peft_fsdp_api.reasons import Reason

from .errors import DiskFull, TrainerError
from .failure import classify

NOTHING_LEFT: Final = 64 * 2**10
"""Bytes. A file system that cannot take a block more often counts a few as free."""
MIB: Final = 2**20


@contextlib.contextmanager
def naming_full_disk(folder: Path, what: str) -> Iterator[None]:
    """Turn any error of the block into DiskFull where the volume that holds `folder` has no room left."""
    try:
        yield
    except TrainerError:
        raise
    except BaseException as error:
        usage = shutil.disk_usage(_existing(folder))
        if usage.free > NOTHING_LEFT and not tells_of_full_disk(error):
            raise
        raise DiskFull(
            f"the volume of {folder} has no room for {what}: {usage.free / MIB:.0f} of {usage.total / MIB:.0f} MiB free"
        ) from error


def tells_of_full_disk(error: BaseException) -> bool:
    """Whether it says so, or was raised from something that does."""
    return classify(error, Stage.SAVE) is Reason.DISK_FULL


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
