"""The place of each rank in a streamed dataset, as a file of a checkpoint. Written and read by `checkpoint`."""

import json
from dataclasses import asdict
from pathlib import Path

from .data import Cursor, take_over
from .errors import DatasetInvalid, Unsupported


def write_cursor(folder: Path, rank: int, cursor: Cursor) -> None:
    """Leave the place of a rank beside its random state."""
    _file(folder, rank).write_text(json.dumps(asdict(cursor)))


def resumed_cursor(folder: Path, saved_on: int, fresh: Cursor | None, rank: int) -> Cursor | None:
    """Where `rank` goes on after a checkpoint of `saved_on` ranks; `fresh` is the place of one that saw nothing.

    None means prepared rows, of which the run's position says enough.

    Raises:
        Unsupported: one of checkpoint and run streams the data, the other does not.
        DatasetInvalid: the data is another one by now, so that a number of rows says nothing about it.
    """
    streamed = _file(folder, 0).exists()
    if streamed is not (fresh is not None):
        was, switch = ("with", "on") if streamed else ("without", "off")
        raise Unsupported(
            f"{folder.name} was written {was} dataset.streaming",
            hint=f"Turn dataset.streaming {switch} to go on, or give another output.path to begin anew.",
        )
    if fresh is None:
        return None
    saved = [Cursor.from_json(json.loads(_file(folder, other).read_text())) for other in range(saved_on)]
    if saved[0].fingerprint != fresh.fingerprint:
        raise DatasetInvalid(
            f"the data is not what it was when {folder.name} was written: files were added, removed or changed",
            hint="Give the data back its state (a fixed dataset.revision on the Hub), or another output.path to begin "
            "anew.",
        )
    return take_over(saved, rank, fresh.world_size)


def _file(folder: Path, rank: int) -> Path:
    return folder / f"data-{rank}.json"
