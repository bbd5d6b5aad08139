"""Which rows a rank sees in which batch, and the tensors that the attention implementation needs.

The order of an epoch depends on seed and epoch only. Batch b of all ranks together holds the next
`batch_size * world_size` rows of it, so runs that multiply to the same global batch see the same rows per step,
whatever the number of ranks. Every row is seen once per epoch: the last batch is filled up with repeated rows that
have no token in the loss, so all ranks make the same number of steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .rows import Document, Rows

IGNORED = -100
"""The label that transformers leaves out of the loss."""
LENGTH_MULTIPLE = 64
FLASH = frozenset({"flash_attention_2", "flash_attention_3", "flash_attention_4"})

Row = tuple[Document, ...]


@dataclass(frozen=True)
class Batch:
    inputs: dict[str, Tensor | int]
    """`input_ids`, `labels`, `position_ids`, each (rows, length); for flash attention (1, all tokens) and the varlen
    arguments. Never an attention mask: transformers derives document isolation from `position_ids` only without one.
    Labels are not shifted; the model shifts them."""
    loss_tokens: int
    """Tokens in the loss on this rank; may be 0 in the last batch of an epoch."""
    tokens: int
    """Tokens without padding and repeated rows, for tokens per second."""


@dataclass(frozen=True)
class Batches:
    """The batches of one rank in one epoch. `start_row` rows of the epoch were already seen by all ranks together
    (a multiple of any earlier `rows_per_batch`), which resumes on any number of ranks."""

    rows: Rows
    batch_size: int
    rank: int = 0
    world_size: int = 1
    seed: int = 0
    epoch: int = 0
    start_row: int = 0
    shuffle: bool = True

    @property
    def rows_per_batch(self) -> int:
        """Rows that all ranks together consume with one batch each."""
        return self.batch_size * self.world_size

    def __len__(self) -> int:
        """Batches left in the epoch, the same on every rank."""
        return -(-max(0, len(self.rows) - self.start_row) // self.rows_per_batch)

    def __iter__(self) -> Iterator[Batch]:
        order = epoch_order(len(self.rows), seed=self.seed, epoch=self.epoch, shuffle=self.shuffle)
        for start in range(self.start_row, len(self.rows), self.rows_per_batch):
            first = start + self.rank * self.batch_size
            wanted = range(first, first + self.batch_size)
            real = [self.rows[int(order[index])] for index in wanted if index < len(order)]
            repeated = [self.rows[int(order[index % len(order)])] for index in wanted if index >= len(order)]
            filler = [_without_loss(row) for row in repeated]
            yield collate(real, filler, attention=self.rows.attention, pad_token=self.rows.pad_token)


def epoch_order(count: int, *, seed: int, epoch: int, shuffle: bool) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The order in which an epoch visits the rows."""
    if not shuffle:
        return np.arange(count, dtype=np.int64)
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(count)


def collate(real: list[Row], filler: list[Row], *, attention: str, pad_token: int) -> Batch:
    """`filler` rows have no loss and are not counted."""
    rows = [*real, *filler]
    inputs = _flattened(rows) if attention in FLASH else _padded(rows, pad_token)
    labels = inputs["labels"]
    assert isinstance(labels, Tensor)
    return Batch(
        inputs=inputs,
        loss_tokens=int((labels != IGNORED).sum()),
        tokens=sum(len(document.tokens) for row in real for document in row),
    )


def _without_loss(row: Row) -> Row:
    return tuple(Document(document.tokens, np.zeros_like(document.learned)) for document in row)


def _padded(rows: list[Row], pad_token: int) -> dict[str, Tensor | int]:
    """(rows, length) with positions that restart per document; the padding is a document of its own."""
    longest = max(sum(len(document.tokens) for document in row) for row in rows)
    shape = (len(rows), -(-longest // LENGTH_MULTIPLE) * LENGTH_MULTIPLE)
    input_ids = torch.full(shape, pad_token, dtype=torch.long)
    labels = torch.full(shape, IGNORED, dtype=torch.long)
    position_ids = torch.zeros(shape, dtype=torch.long)
    for number, row in enumerate(rows):
        tokens, targets, positions = _joined(row)
        used = len(tokens)
        input_ids[number, :used], labels[number, :used], position_ids[number, :used] = tokens, targets, positions
        position_ids[number, used:] = torch.arange(shape[1] - used)
    return {"input_ids": input_ids, "labels": labels, "position_ids": position_ids}


def _flattened(rows: list[Row]) -> dict[str, Tensor | int]:
    """(1, all tokens) without padding, and where each document starts: what varlen flash attention takes."""
    documents = tuple(document for row in rows for document in row)
    tokens, targets, positions = _joined(documents)
    lengths = [len(document.tokens) for document in documents]
    starts = torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32)
    return {
        "input_ids": tokens[None],
        "labels": targets[None],
        "position_ids": positions[None],
        "cu_seq_lens_q": starts,
        "cu_seq_lens_k": starts,
        "max_length_q": max(lengths),
        "max_length_k": max(lengths),
    }


def _joined(row: Row) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, labels and positions of a row. The first token of a document is no target: nothing of the same
    document comes before it to predict it from."""
    tokens = torch.from_numpy(np.concatenate([document.tokens for document in row]).astype(np.int64))
    learned = torch.from_numpy(np.concatenate([document.learned for document in row]))
    positions = torch.cat([torch.arange(len(document.tokens)) for document in row])
    targets = torch.where(learned & (positions > 0), tokens, IGNORED)
    return tokens, targets, positions
