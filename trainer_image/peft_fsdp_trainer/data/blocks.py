"""The blocks of a stream, read by one rank in rising order; blocks of others are passed over without being decoded.

Blocks are numbered on and on: where the data ends, the next block begins it anew. Used by `streaming`.
"""

from __future__ import annotations

from itertools import islice

from ..errors import DatasetInvalid
from .splits import LazyRow
from .stream import Stream

ROWS: int = 1024
"""Rows of a block: what is shuffled and packed together, and what a rank holds two or three times."""


class BlockReader:
    """One pass after the other over a stream."""

    def __init__(self, stream: Stream, blocks_per_pass: int | None, rows_per_block: int = ROWS) -> None:
        self._stream = stream
        self._size = rows_per_block
        self.blocks_per_pass = blocks_per_pass
        """Known once the end of the data was seen."""
        self.pass_number = 0
        self.rows_read = 0
        """Rows that this reader has come by, decoded or not."""
        self._next = 0
        self._rows = stream.rows()

    def block(self, number: int) -> list[LazyRow]:
        """The rows of a block, at least one; `number` is above that of every earlier call.

        Raises:
            DatasetInvalid: the data is gone, or a file cannot be read.
        """
        while True:
            if self.blocks_per_pass is not None and number // self.blocks_per_pass != self.pass_number:
                self._begin_pass(number // self.blocks_per_pass)
            rows = self._take(number)
            if rows:
                return rows
            self._end_pass()

    def _take(self, number: int) -> list[LazyRow]:
        """The block, or nothing where the data ends before it."""
        while self._next < number:
            passed = sum(1 for _ in islice(self._rows, self._size))
            self.rows_read += passed
            if not passed:
                return []
            self._next += 1
        rows = list(islice(self._rows, self._size))
        self.rows_read += len(rows)
        self._next += bool(rows)
        return rows

    def _end_pass(self) -> None:
        """The length of a pass is known now. Where it was known before, the data has become shorter."""
        if self.blocks_per_pass is not None or not self._next:
            raise DatasetInvalid(
                f"split {self._stream.name} has become shorter while it was read",
                hint="Leave the data as it is while a job reads it.",
            )
        self.blocks_per_pass = self._next

    def _begin_pass(self, number: int) -> None:
        assert self.blocks_per_pass is not None
        self.pass_number, self._next = number, number * self.blocks_per_pass
        self._rows = self._stream.rows()
