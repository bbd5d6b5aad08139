"""Reads, renders, tokenizes and packs a dataset once, and hands out the result. Called by the training loop."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

from peft_fsdp_api.spec import DatasetSpec

from ..errors import DatasetInvalid
from .cache import made_once
from .documents import Tokenization
from .prepared import DataFacts, PreparedData, Report, SplitFacts
from .rows import read_facts, read_rows
from .samples import choose_format, holds_messages
from .sources import open_split
from .templates import BUILT_IN, NO_TEMPLATE, choose_template, template_warnings
from .tokenizing import STAGE, SplitWork, write_split


def prepare(spec: DatasetSpec, tokenizer: Any, *, attention: str, cache_dir: Path, report: Report) -> PreparedData:
    """The rows of both splits. `tokenizer` is a transformers tokenizer, `attention` the resolved implementation.

    The result is cached in `cache_dir` under a key of everything that changes it. One process per folder works,
    under a file lock; the others wait.

    Raises:
        DatasetInvalid: the source, a split, a column or a row is missing or unusable; the message says where.
    """
    report(STAGE, 0, 0)
    splits = [open_split(spec, name) for name in (spec.train_split, spec.eval_split) if name is not None]
    formats = [choose_format(spec, split) for split in splits]
    templated = holds_messages(splits[0], formats[0])
    if not templated and spec.chat_template not in ("auto", NO_TEMPLATE.name):
        raise DatasetInvalid(
            f"dataset.chatTemplate is {spec.chat_template}, but {spec.source} holds plain text ({formats[0]})",
            hint="Remove dataset.chatTemplate, or name the column of the messages in dataset.textField.",
        )
    template = choose_template(spec.chat_template, tokenizer, loss=spec.loss) if templated else NO_TEMPLATE
    tokenization = Tokenization(tokenizer, template, spec.loss)
    folders = [
        _written(SplitWork(spec, split, sample_format, tokenization), cache_dir, report)
        for split, sample_format in zip(splits, formats, strict=True)
    ]
    train, evaluation, *_ = [*(read_rows(folder, attention, _pad_token(tokenizer)) for folder in folders), None]
    train_facts, evaluation_facts, *_ = [*(SplitFacts(**read_facts(folder)) for folder in folders), None]
    assert train is not None
    assert train_facts is not None
    facts = DataFacts(
        source=spec.source,
        format=formats[0],
        chat_template=template.name if templated else None,
        packing=spec.packing,
        max_length=spec.max_length,
        train=train_facts,
        evaluation=evaluation_facts,
        warnings=template_warnings(template, tokenizer),
    )
    fingerprint = hashlib.sha256(" ".join(folder.name for folder in folders).encode()).hexdigest()
    added = template.jinja if template.name in BUILT_IN else None
    return PreparedData(train, evaluation, facts, fingerprint, added)


def _written(work: SplitWork, cache_dir: Path, report: Report) -> Path:
    """The folder in the cache that holds the rows of a split."""
    return made_once(
        cache_dir / work.key(),
        partial(write_split, work, report),
        waiting=partial(report, STAGE, 0, work.split.count),
    )


def _pad_token(tokenizer: Any) -> int:
    """The token behind the end of a row. It is never attended to and never learned, so any token does."""
    candidates = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    return next(token for token in candidates if token is not None)
