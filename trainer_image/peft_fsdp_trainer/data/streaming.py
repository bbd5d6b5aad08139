"""Rows that are read, tokenized and packed while training. Made by `prepare`, consumed by the trainer's feed.

A block is shuffled and packed by itself, from seed and number alone: its rows come out the same on any rank, at any
time, and a place in the stream is the number of a block and of a row in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

import numpy as np

from ..errors import DatasetInvalid
from .batches import Batch, Row, collate
from .blocks import ROWS, BlockReader
from .cursor import Cursor
from .packing import one_per_row, pack
from .prefetch import Prefetch
from .rows import Document
from .splits import LazyRow, Split
from .stream import Stream
from .tokenizing import Counts, SplitWork, kept_documents

EMPTY_PASSES: Final = 2
"""Passes in which a rank may find nothing to learn; it sees other blocks in each of them."""


@dataclass(frozen=True)
class StreamedRows:
    """Where rows come from and what makes them."""

    stream: Stream
    work: SplitWork
    """Its split is the stream."""
    attention: str
    pad_token: int
    rows_per_block: int = ROWS

    def block(self, number: int, rows: list[LazyRow], seed: int) -> Block:
        """The packed rows of a block in the order in which they are seen."""
        counts = Counts()
        split = Split(self.stream.name, (), len(rows), "", lambda: (row() for row in rows))
        documents = list(kept_documents(replace(self.work, split=split), counts, lambda *_: None))
        order = np.random.Generator(np.random.PCG64([seed, number]))
        packed = [tuple(documents[place] for place in row) for row in self._packed(documents)]
        return Block([packed[place] for place in order.permutation(len(packed))], counts)

    def _packed(self, documents: list[Document]) -> list[list[int]]:
        lengths = np.asarray([len(document.tokens) for document in documents], dtype=np.int64)
        return pack(lengths, self.work.spec.max_length) if self.work.spec.packing else one_per_row(lengths)


@dataclass(frozen=True)
class Block:
    """The rows of a block, and what was cut and left out of it."""

    rows: list[Row]
    counts: Counts
    blocks_per_pass: int | None = None


@dataclass
class Stretch:
    """The endless batches of one rank from a cursor on; the next block is made while one is used."""

    source: StreamedRows
    cursor: Cursor
    """Where the batches handed out so far end."""
    rank: int
    batch_size: int
    seed: int
    waiting: Callable[[], None] = lambda: None
    """Called about twice a second while a batch is not ready."""
    documents: int = 0
    counts: Counts = field(default_factory=Counts)

    def __post_init__(self) -> None:
        self._reader = BlockReader(self.source.stream, self.cursor.blocks_per_pass, self.source.rows_per_block)
        self._blocks = Prefetch(self._made(self.cursor))
        self._rows: Iterator[Row] = self._endless()

    @property
    def rows_read(self) -> int:
        """Rows of the dataset that were read, those of other ranks among them: a sign of life."""
        return self._reader.rows_read

    @property
    def rows_to_read(self) -> int:
        """Rows of the dataset up to the end of the current block, as if it were whole."""
        block = self.cursor.current(self.rank)[0]
        per_pass = self.cursor.blocks_per_pass
        return (block % per_pass if per_pass else block) * self.source.rows_per_block + self.source.rows_per_block

    def wait(self) -> None:
        """Return when the first row is there."""
        first = next(self._rows)
        self._rows = chain([first], self._rows)

    @property
    def passes(self) -> int:
        """Passes over the data that lie behind the cursor, as far as this rank knows."""
        per_pass = self.cursor.blocks_per_pass
        return self.cursor.current(self.rank)[0] // per_pass if per_pass else 0

    def batch(self) -> Batch:
        """The next batch.

        Raises:
            DatasetInvalid: a row cannot be used, or nothing is there to learn.
        """
        rows = [next(self._rows) for _ in range(self.batch_size)]
        self.documents += sum(len(row) for row in rows)
        return collate(rows, [], attention=self.source.attention, pad_token=self.source.pad_token)

    def close(self) -> None:
        """End the thread that makes blocks."""
        self._blocks.close()

    def _endless(self) -> Iterator[Row]:
        while True:
            block = self._blocks.next(self.waiting)
            self.counts.add(block.counts)
            self.cursor = replace(self.cursor, blocks_per_pass=block.blocks_per_pass)
            begin = self.cursor.current(self.rank)[1]
            for place in range(begin, len(block.rows)):
                self.cursor = self.cursor.after_row() if place + 1 < len(block.rows) else self.cursor.after_block()
                yield block.rows[place]
            if begin >= len(block.rows):  # nothing to learn in it
                self.cursor = self.cursor.after_block()

    def _made(self, cursor: Cursor) -> Iterator[Block]:
        """On the thread: this rank's blocks, one after the other."""
        fruitless_since: int | None = None
        while True:
            number, _ = cursor.current(self.rank)
            rows = self._reader.block(number)
            block = self.source.block(number, rows, self.seed)
            yield replace(block, blocks_per_pass=self._reader.blocks_per_pass)
            now = self._reader.pass_number
            fruitless_since = None if block.rows else now if fruitless_since is None else fruitless_since
            if fruitless_since is not None and now - fruitless_since >= EMPTY_PASSES:
                raise self._nothing_to_learn()
            cursor = cursor.after_block()

    def _nothing_to_learn(self) -> DatasetInvalid:
        spec = self.source.work.spec
        return DatasetInvalid(
            f"no document of split {self.source.stream.name} of {spec.source} that was read in {EMPTY_PASSES} passes "
            f"has a token to learn with loss {spec.loss} and maxLength {spec.max_length}",
            hint="The documents are empty, or maxLength cuts them before the first token that counts: raise "
            "dataset.maxLength or set dataset.loss to all.",
        )
