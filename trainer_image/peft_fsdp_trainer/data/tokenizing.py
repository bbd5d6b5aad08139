"""Writes the tokenized rows of one split into a folder. Called by `prepare`, in one process per cache.

`streaming` makes documents with the same function, block by block.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from peft_fsdp_api.spec import DatasetSpec

from ..errors import DatasetInvalid
from .documents import Tokenization
from .packing import one_per_row, pack
from .prepared import Report, SplitFacts
from .rows import DOCUMENTS, FACTS, LEARNED, ORDER, ROWS, TOKENS, Document
from .samples import sample_reader
from .splits import LocatedRow, Split

STAGE = "prepare data"
LAYOUT = 2
"""Raise it when the same input gives other rows or other files: it makes old cache entries unreachable."""
BLOCK = 256
"""Samples that are tokenized at once; the Rust tokenizers share a block among the cores."""


@dataclass(frozen=True)
class SplitWork:
    spec: DatasetSpec
    split: Split
    sample_format: str
    tokenization: Tokenization

    def key(self) -> str:
        """Hash of everything that changes the written rows."""
        spec, template = self.spec, self.tokenization.template
        parts = (
            LAYOUT, self.split.name, self.split.fingerprint, self.sample_format, spec.text_field, spec.max_length,
            spec.packing, spec.loss, template.name, template.jinja,
            _tokenizer_identity(self.tokenization.tokenizer),
        )  # fmt: skip
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


@dataclass
class Counts:
    loss_tokens: int = 0
    truncated: int = 0
    dropped: int = 0

    def add(self, other: Counts) -> None:
        """Count these too."""
        self.loss_tokens += other.loss_tokens
        self.truncated += other.truncated
        self.dropped += other.dropped


def write_split(work: SplitWork, report: Report, folder: Path) -> None:
    """Fills `folder` with the files that `rows.read_rows` maps.

    Raises:
        DatasetInvalid: a row cannot be used, or no document has a token to learn.
    """
    counts, lengths, digest = Counts(), [], hashlib.sha256()
    with (folder / TOKENS).open("wb") as tokens, (folder / LEARNED).open("wb") as learned:
        for document in kept_documents(work, counts, report):
            for file, values in ((tokens, document.tokens), (learned, document.learned)):
                # Not `tofile`: it takes for written what a full disk did not take.
                content = values.tobytes()
                file.write(content)
                digest.update(content)
            lengths.append(len(document.tokens))
    work.split.check()
    if not lengths:
        raise _nothing_to_learn(work)
    rows = _write_order(folder, np.asarray(lengths, dtype=np.int64), work.spec, digest)
    facts = SplitFacts(
        split=work.split.name, documents=len(lengths), rows=rows, tokens=sum(lengths), **asdict(counts),
        content=digest.hexdigest(),
    )  # fmt: skip
    (folder / FACTS).write_text(json.dumps(asdict(facts)), encoding="utf-8")


def _write_order(
    folder: Path, lengths: np.ndarray[Any, np.dtype[np.int64]], spec: DatasetSpec, digest: hashlib._Hash
) -> int:
    rows = pack(lengths, spec.max_length) if spec.packing else one_per_row(lengths)
    starts = _starts(np.asarray([len(row) for row in rows], dtype=np.int64))
    order = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=len(lengths))
    for name, values in ((DOCUMENTS, _starts(lengths)), (ROWS, starts), (ORDER, order)):
        content = io.BytesIO()  # for a file `np.save` uses `tofile`
        np.save(content, values)
        (folder / name).write_bytes(content.getbuffer())
        digest.update(content.getbuffer())
    return len(rows)


def _starts(lengths: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])


def kept_documents(work: SplitWork, counts: Counts, report: Report) -> Iterator[Document]:
    """The documents that are kept, cut at maxLength; counts the others."""
    read = sample_reader(work.spec, work.sample_format)
    done = 0
    for block in _blocks(work.split.read()):
        for document in work.tokenization.documents([read(located) for located in block]):
            kept = _cut(document, work.spec.max_length)
            loss_tokens = int(kept.learned[1:].sum())  # nothing predicts the first token of a document
            if not loss_tokens:
                counts.dropped += 1
                continue
            counts.truncated += len(kept.tokens) < len(document.tokens)
            counts.loss_tokens += loss_tokens
            yield kept
        done += len(block)
        report(STAGE, done, work.split.count)


def _blocks(rows: Iterator[LocatedRow]) -> Iterator[list[LocatedRow]]:
    block: list[LocatedRow] = []
    for row in rows:
        block.append(row)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block


def _cut(document: Document, max_length: int) -> Document:
    return Document(document.tokens[:max_length], document.learned[:max_length])


def _nothing_to_learn(work: SplitWork) -> DatasetInvalid:
    spec, number = work.spec, f"{work.split.count} " if work.split.count else ""
    return DatasetInvalid(
        f"none of the {number}documents of split {work.split.name} of {spec.source} has a token to learn "
        f"with loss {spec.loss} and maxLength {spec.max_length}",
        hint="The documents are empty, or maxLength cuts them before the first token that counts: raise "
        "dataset.maxLength or set dataset.loss to all.",
    )


def _tokenizer_identity(tokenizer: Any) -> str:
    """Hash of what the tokenizer does: its whole state for the Rust ones, vocabulary and class for others."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    state = backend.to_str() if backend else repr((type(tokenizer).__name__, sorted(tokenizer.get_vocab().items())))
    special = repr(sorted(tokenizer.special_tokens_map.items(), key=str))
    return hashlib.sha256((state + special).encode()).hexdigest()
