"""A split that is read again and again without knowing its length. Opened by `streams`, consumed by `blocks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from ..errors import DatasetInvalid
from .splits import LazyRow, LocatedRow, Split, slice_bounds


@dataclass(frozen=True)
class Stream:
    """The rows of a split, in the same order whenever they are read."""

    name: str
    fingerprint: str
    """Changes with the files that are read, as far as that can be told without reading them."""
    rows: Callable[[], Iterator[LazyRow]]

    def as_split(self) -> Split:
        """The same rows as a split whose number of rows is not known (count 0)."""

        def read() -> Iterator[LocatedRow]:
            return (row() for row in self.rows())

        first = next(read(), None)
        if first is None:
            raise DatasetInvalid(f"split {self.name} is empty", hint="Name a split that holds rows.")
        return Split(self.name, tuple(first[1]), 0, self.fingerprint, read)


def sliced_stream(stream: Stream, wanted: str) -> Stream:
    """The part of a whole stream that `wanted` asks for by numbers of rows, as in `train[1000:]`."""
    start, stop = slice_bounds(wanted)
    if (start, stop) == (0, None):
        return stream

    def rows() -> Iterator[LazyRow]:
        return islice(stream.rows(), start, stop)

    return Stream(wanted, f"{stream.fingerprint} {start} {stop}", rows)
