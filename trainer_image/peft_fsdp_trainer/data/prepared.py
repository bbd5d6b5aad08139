"""What `prepare` gives to the training loop and to the model card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .rows import Rows

if TYPE_CHECKING:
    from .streaming import StreamedRows

Report = Callable[[str, int, int], None]
"""report(stage, done, total): called at least once a second; total is 0 while it is unknown. It may raise to stop."""


@dataclass(frozen=True)
class SplitFacts:
    """Counts of one split, for the model card."""

    split: str
    documents: int
    """Documents that are trained on; `dropped` ones are not among them."""
    rows: int
    """Rows of at most maxLength tokens; fewer than documents when packed."""
    tokens: int
    loss_tokens: int
    truncated: int
    """Documents cut at maxLength."""
    dropped: int
    """Documents without a token to learn: empty, or cut before the first one."""
    content: str
    """Hash of the rows: equal for the same tokens in the same rows in the same order, wherever they come from."""


@dataclass(frozen=True)
class DataFacts:
    source: str
    format: str
    """messages, text or promptCompletion: what `auto` found."""
    chat_template: str | None
    """chatml, zephyr, model or none; None when the data holds no messages."""
    packing: bool
    max_length: int
    train: SplitFacts | None
    """None where rows are streamed: nobody has counted them."""
    evaluation: SplitFacts | None
    warnings: tuple[str, ...]
    """Sentences a user should read, for the log and the model card."""


@dataclass(frozen=True)
class PreparedData:
    train: Rows | StreamedRows
    evaluation: Rows | None
    facts: DataFacts
    fingerprint: str
    """Equal on two machines when they hold the same rows in the same order; compare it across ranks."""
    chat_template: str | None
    """Jinja of the built-in template that rendered the messages, which the exported tokenizer must carry to be asked
    in the same words. None without one: the tokenizer's own was used, or the data needs none."""
