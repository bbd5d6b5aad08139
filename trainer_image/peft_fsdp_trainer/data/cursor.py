"""Where one rank stands in a streamed dataset, and how other ranks take over.

The stream is cut into numbered blocks. The ranks share out a queue of blocks: first those that an earlier number of
ranks left unfinished, then all from `next_block` on. Rank r takes every item r, r + world_size, r + 2 world_size, ….
So a rank finds its blocks without asking the others, on the same ranks a run goes on as if nothing had happened, and
on other ranks each block, and each row of it, is still seen once. Saved by `checkpoint`, moved by
`streaming`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Cursor:
    """The place of one rank. All but `items`, `rows` and `blocks_per_pass` is the same on every rank."""

    fingerprint: str
    """Of the stream."""
    world_size: int
    pending: tuple[tuple[int, int], ...] = ()
    """Blocks at the head of the queue: the number, and how many rows of it were seen."""
    next_block: int = 0
    """The first block behind the pending ones."""
    items: int = 0
    """Items of the queue that this rank has finished."""
    rows: int = 0
    """Rows it has seen of the next one since it began with it."""
    blocks_per_pass: int | None = None
    """Blocks in one pass over the data; None until this rank has come to the end of one."""

    def item(self, number: int) -> tuple[int, int]:
        """Block and first unseen row of an item of the queue."""
        if number < len(self.pending):
            return self.pending[number]
        return self.next_block + number - len(self.pending), 0

    def current(self, rank: int) -> tuple[int, int]:
        """Block and row at which `rank` goes on, with this cursor as its own."""
        block, row = self.item(rank + self.world_size * self.items)
        return block, row + self.rows

    def after_row(self) -> Cursor:
        """One more row of the current block is seen."""
        return replace(self, rows=self.rows + 1)

    def after_block(self) -> Cursor:
        """The current block is finished."""
        return replace(self, items=self.items + 1, rows=0)

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Cursor:
        """What was written with `dataclasses.asdict`."""
        return cls(**{**saved, "pending": tuple((block, row) for block, row in saved["pending"])})


def take_over(saved: Sequence[Cursor], rank: int, world_size: int) -> Cursor:
    """The cursor of `rank` of `world_size`, from those that all ranks of an earlier run saved together."""
    passes = next((cursor.blocks_per_pass for cursor in saved if cursor.blocks_per_pass is not None), None)
    if world_size == len(saved):
        return replace(saved[rank], blocks_per_pass=passes)
    before = saved[0]
    reached = [old + before.world_size * cursor.items for old, cursor in enumerate(saved)]
    end = max(max(reached) + 1, len(before.pending))
    pending: list[tuple[int, int]] = []
    for number in range(end):
        owner = number % before.world_size
        if number > reached[owner]:
            pending.append(before.item(number))
        elif number == reached[owner]:
            pending.append(saved[owner].current(owner))
    return Cursor(before.fingerprint, world_size, tuple(pending), before.item(end)[0], blocks_per_pass=passes)
