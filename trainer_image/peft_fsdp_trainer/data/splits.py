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
    return Split(wanted, split.columns, max(0, stop - start), fingerprint, read)


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
