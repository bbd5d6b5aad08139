"""Reads, renders, tokenizes and packs a dataset once, and hands out the result. Called by the training loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peft_fsdp_api.spec import DatasetSpec

from .prepared import PreparedData, Report


def prepare(
    spec: DatasetSpec, tokenizer: Any, *, attention: str, cache_dir: Path, report: Report
) -> PreparedData:
    """The rows of both splits. `tokenizer` is a transformers tokenizer, `attention` the resolved implementation.

    The result is cached in `cache_dir` under a key of everything that changes it. One process per folder works,
    under a file lock; the others wait.

    Raises:
        DatasetInvalid: the source, a split, a column or a row is missing or unusable; the message says where.
    """
    raise NotImplementedError
