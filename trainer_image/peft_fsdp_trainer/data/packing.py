"""Puts documents into rows: the fullest row that still has room takes the next longest document.

Best fit, decreasing, as TRL's strategy `bfd`, but documents longer than a row were cut before. Called by `prepare`.
"""

from __future__ import annotations

from bisect import bisect_left, insort

import numpy as np
import numpy.typing as npt


def pack(lengths: npt.NDArray[np.int64], capacity: int) -> list[list[int]]:
    """The numbers of the documents in each row; no row is longer than `capacity` tokens.

    Raises:
        ValueError: a document alone is longer than a row.
    """
    if len(lengths) and int(lengths.max()) > capacity:
        raise ValueError(f"a document of {int(lengths.max())} tokens does not fit into {capacity}")
    rows: list[list[int]] = []
    room_left: list[int] = []  # sorted: the different amounts of room that rows have left
    rows_with: dict[int, list[int]] = {}

    def offer(row: int, room: int) -> None:
        if room not in rows_with:
            insort(room_left, room)
        rows_with.setdefault(room, []).append(row)

    for document in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[document])
        place = bisect_left(room_left, length)
        if place == len(room_left):
            rows.append([document])
            offer(len(rows) - 1, capacity - length)
            continue
        room = room_left[place]
        row = rows_with[room].pop()
        if not rows_with[room]:
            del rows_with[room], room_left[place]
        rows[row].append(document)
        offer(row, room - length)
    return rows


def one_per_row(lengths: npt.NDArray[np.int64]) -> list[list[int]]:
    return [[document] for document in range(len(lengths))]
