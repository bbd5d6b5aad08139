"""Tokenized rows on disk, memory-mapped: the documents end to end, and which of them each row holds.

Written once by `prepare`, read by `Batches` on every rank; the pages are shared between the ranks of a node.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.int32]
Learned = npt.NDArray[np.bool_]
Offsets = npt.NDArray[np.int64]

TOKENS, LEARNED, DOCUMENTS, ROWS, ORDER, FACTS = (
    "tokens.i32", "learned.bool", "documents.npy", "rows.npy", "order.npy", "facts.json"
)  # fmt: skip


@dataclass(frozen=True)
class Document:
    tokens: Tokens
    learned: Learned
    """True where the token is a target of the loss."""


@dataclass(frozen=True)
class Rows:
    """Row i holds the documents `order[rows[i]:rows[i + 1]]`; document d is `tokens[documents[d]:documents[d + 1]]`."""

    tokens: Tokens
    learned: Learned
    documents: Offsets
    rows: Offsets
    order: Offsets
    attention: str
    pad_token: int

    def __len__(self) -> int:
        return len(self.rows) - 1

    def __getitem__(self, row: int) -> tuple[Document, ...]:
        """The documents of a row, in their order."""
        return tuple(self._document(int(number)) for number in self.order[self.rows[row] : self.rows[row + 1]])

    def _document(self, number: int) -> Document:
        span = slice(int(self.documents[number]), int(self.documents[number + 1]))
        return Document(self.tokens[span], self.learned[span])


def read_rows(folder: Path, attention: str, pad_token: int) -> Rows:
    return Rows(
        tokens=np.memmap(folder / TOKENS, dtype=np.int32, mode="r"),
        learned=np.memmap(folder / LEARNED, dtype=np.bool_, mode="r"),
        documents=np.load(folder / DOCUMENTS, mmap_mode="r"),
        rows=np.load(folder / ROWS, mmap_mode="r"),
        order=np.load(folder / ORDER, mmap_mode="r"),
        attention=attention,
        pad_token=pad_token,
    )


def is_whole(folder: Path) -> bool:
    """Whether every file is there, and as long as the others say."""
    try:
        rows = read_rows(folder, attention="", pad_token=0)
        read_facts(folder)
    except (FileNotFoundError, ValueError):
        return False
    documents, tokens = len(rows.documents) - 1, int(rows.documents[-1])
    lengths = (len(rows.order), int(rows.rows[-1]), len(rows.tokens), len(rows.learned))
    return lengths == (documents, documents, tokens, tokens)


def read_facts(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return facts
