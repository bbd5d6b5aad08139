"""Reads, renders, tokenizes and packs a dataset once, and hands out the result. Called by the training loop."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any, cast

from peft_fsdp_api.spec import DatasetSpec

from ..errors import DatasetInvalid
from .cache import made_once
from .documents import Tokenization
from .prepared import DataFacts, PreparedData, Report, SplitFacts
from .rows import Rows, is_whole, read_facts, read_rows
from .samples import choose_format, holds_messages
from .sources import open_split, open_stream
from .splits import Split
from .stream import Stream
from .streaming import StreamedRows
from .templates import BUILT_IN, NO_TEMPLATE, choose_template, template_warnings
from .tokenizing import STAGE, SplitWork, write_split


def prepare(spec: DatasetSpec, tokenizer: Any, *, attention: str, cache_dir: Path, report: Report) -> PreparedData:
    """The rows of both splits. `tokenizer` is a transformers tokenizer, `attention` the resolved implementation.

    With `spec.streaming` the training split is only opened, and its first row is looked at.

    The result is cached in `cache_dir` under a key of everything that changes it. One process per folder works,
    under a file lock; the others wait.

    Raises:
        DatasetInvalid: the source, a split, a column or a row is missing or unusable; the message says where.
    """
    report(STAGE, 0, 0)
    train, evaluation = _open(spec)
    splits = [split for split in (train[0], evaluation) if split is not None]
    works, templated = _works(spec, splits, tokenizer)
    stored = works[1:] if train[1] else works
    folders = [_written(work, cache_dir, report) for work in stored]
    pad_token = _pad_token(tokenizer)
    rows: list[Rows | StreamedRows] = [read_rows(folder, attention, pad_token) for folder in folders]
    facts: list[SplitFacts | None] = [SplitFacts(**read_facts(folder)) for folder in folders]
    if train[1]:
        rows.insert(0, StreamedRows(train[1], works[0], attention, pad_token))
        facts.insert(0, None)
    template = works[0].tokenization.template
    keys = " ".join([*(folder.name for folder in folders), *([train[1].fingerprint] if train[1] else [])])
    return PreparedData(
        train=rows[0],
        evaluation=cast(Rows, rows[1]) if evaluation else None,
        facts=DataFacts(
            source=spec.source,
            format=works[0].sample_format,
            chat_template=template.name if templated else None,
            packing=spec.packing,
            max_length=spec.max_length,
            train=facts[0],
            evaluation=facts[1] if evaluation else None,
            warnings=(*template_warnings(template, tokenizer), *_streaming_warnings(spec)),
        ),
        fingerprint=hashlib.sha256(keys.encode()).hexdigest(),
        chat_template=template.jinja if template.name in BUILT_IN else None,
    )


def _open(spec: DatasetSpec) -> tuple[tuple[Split, Stream | None], Split | None]:
    """The split to train on, with the stream where it is one, and the split to evaluate on."""
    if not spec.streaming:
        return (open_split(spec, spec.train_split), None), open_split(
            spec, spec.eval_split
        ) if spec.eval_split else None
    stream = open_stream(spec, spec.train_split)
    if spec.eval_split is None:
        evaluation = None
    elif spec.source.startswith("/"):
        evaluation = open_split(spec, spec.eval_split)
    else:  # the datasets library would download and convert every split for one
        evaluation = open_stream(spec, spec.eval_split).as_split()
    return (stream.as_split(), stream), evaluation


def _works(spec: DatasetSpec, splits: list[Split], tokenizer: Any) -> tuple[list[SplitWork], bool]:
    """What is to be done with each split, and whether a chat template renders it."""
    formats = [choose_format(spec, split) for split in splits]
    templated = holds_messages(splits[0], formats[0])
    if not templated and spec.chat_template not in ("auto", NO_TEMPLATE.name):
        raise DatasetInvalid(
            f"dataset.chatTemplate is {spec.chat_template}, but {spec.source} holds plain text ({formats[0]})",
            hint="Remove dataset.chatTemplate, or name the column of the messages in dataset.textField.",
        )
    template = choose_template(spec.chat_template, tokenizer, loss=spec.loss) if templated else NO_TEMPLATE
    tokenization = Tokenization(tokenizer, template, spec.loss)
    pairs = zip(splits, formats, strict=True)
    return [SplitWork(spec, split, sample_format, tokenization) for split, sample_format in pairs], templated


def _streaming_warnings(spec: DatasetSpec) -> tuple[str, ...]:
    if not spec.streaming or spec.source.startswith("/") or spec.revision is not None:
        return ()
    return (
        f"dataset.streaming reads {spec.source} at its newest commit: a restart refuses to go on where there is a "
        "newer one by then. Set dataset.revision to keep to one.",
    )


def _written(work: SplitWork, cache_dir: Path, report: Report) -> Path:
    """The folder in the cache that holds the rows of a split."""
    return made_once(
        cache_dir / work.key(),
        partial(write_split, work, report),
        waiting=partial(report, STAGE, 0, work.split.count),
        is_whole=is_whole,
    )


def _pad_token(tokenizer: Any) -> int:
    """The token behind the end of a row. It is never attended to and never learned, so any token does."""
    candidates = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    return next(token for token in candidates if token is not None)
