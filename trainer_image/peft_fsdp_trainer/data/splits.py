"""A split of a dataset, whole or sliced as in `train[:90%]`. Made by `local` and `hub`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..errors import DatasetInvalid

LocatedRow = tuple[str, dict[str, Any]]
"""Where a row stands ("train.jsonl line 12"), and the row."""
LazyRow = Callable[[], LocatedRow]
"""A row that is decoded when it is called; raises DatasetInvalid where it cannot be."""

_SLICED = re.compile(r"(?P<name>[^\[\]+]+)(?:\[(?P<start>\d*%?):(?P<stop>\d*%?)\])?")


@dataclass(frozen=True)
class Split:
    """One split of a dataset; its rows are read only when asked for."""

    name: str
    columns: tuple[str, ...]
    count: int
    fingerprint: str
    """Changes with the content."""
    read: Callable[[], Iterator[LocatedRow]]
    check: Callable[[], None] = lambda: None
    """To be called when all is read. Raises DatasetInvalid where the content is not that of `fingerprint` any more."""


def split_name(wanted: str) -> str:
    """`train` of `train[:90%]`.

    Raises:
        DatasetInvalid: `wanted` is more than one name and one slice.
    """
    name: str = _parse(wanted)["name"]
    return name


def sliced(split: Split, wanted: str) -> Split:
    """The part of a whole split that `wanted` asks for, with the meaning the datasets library gives to slices."""
    part = _parse(wanted)
    if part["start"] is None:
        return split
    start = _bound(part["start"], split.count, default=0)
    stop = _bound(part["stop"], split.count, default=split.count)

    def read() -> Iterator[LocatedRow]:
        return islice(split.read(), start, stop)

    fingerprint = hashlib.sha256(f"{split.fingerprint} {start} {stop}".encode()).hexdigest()
    return Split(wanted, split.columns, max(0, stop - start), fingerprint, read, split.check)


def slice_bounds(wanted: str) -> tuple[int, int | None]:
    """First row and the row behind the last one of `train[1000:]`; None where there is no last one.

    Raises:
        DatasetInvalid: the slice is given in per cent, which needs the number of rows.
    """
    part = _parse(wanted)
    start, stop = part["start"] or "0", part["stop"] or None
    if start.endswith("%") or (stop is not None and stop.endswith("%")):
        raise DatasetInvalid(
            f"split {wanted} is a share of rows that nobody has counted",
            hint="With dataset.streaming give numbers of rows, like train[1000:].",
        )
    return int(start), None if stop is None else int(stop)


def _parse(wanted: str) -> dict[str, Any]:
    match = _SLICED.fullmatch(wanted)
    if match is None:
        raise DatasetInvalid(
            f"split {wanted} cannot be read from files", hint="Use a name and at most one slice, like train[:90%]."
        )
    return match.groupdict()


def _bound(text: str, count: int, *, default: int) -> int:
    if not text:
        return default
    value = round(int(text[:-1]) * count / 100) if text.endswith("%") else int(text)
    return min(value, count)
