"""What it is trained on."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ..schema import ApiModel, Rule
from ..text import Text
from .model import REVISION_NEEDS_HUB, Source

SplitName = Annotated[
    str, Field(max_length=128), Text(r"[A-Za-z0-9_.\[\]:%+-]+", "the name of a split such as train or train[:90%]")
]
ColumnName = Annotated[str, Field(min_length=1, max_length=128)]


class DatasetSpec(ApiModel):
    """The training and evaluation data."""

    source: Source
    """Hub id, or the absolute path of a jsonl, parquet or arrow file or of a folder of them."""
    revision: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """Branch, tag or commit of a Hub id; absent means the newest commit of the default branch."""
    name: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """Configuration of a Hub dataset; absent means its only or default one."""
    train_split: SplitName = "train"
    """Split to train on."""
    eval_split: SplitName | None = None
    """Split to evaluate on. Without it nothing is evaluated."""
    format: Literal["auto", "messages", "text", "promptCompletion"] = "auto"
    """Columns of a row: `messages` (a list of role and content), `text`, or `prompt` and `completion`.
    `auto` looks at the columns that are there."""
    text_field: ColumnName | None = None
    """Column that holds the text (format `text`; `text` by default) or the messages (`messages` by default)."""
    chat_template: Literal["auto", "model", "chatml", "zephyr", "none"] = "auto"
    """How messages become text. `auto` takes the model's own template and ChatML where it has none; `none` joins
    the contents with line breaks."""
    max_length: Annotated[int, Field(ge=8, le=1048576)] = 2048
    """Longest row in tokens; longer documents are cut there."""
    packing: bool = True
    """Put several documents into one row, with attention kept inside each document."""
    loss: Literal["all", "assistant", "completion"] = "all"
    """Tokens that are learned: all of them, the assistant's turns, or the completion."""
    streaming: bool = False
    """Read, tokenize and pack while training, for data too large to be prepared as a whole. The number of rows stays
    unknown: training.maxSteps ends the run, and the data begins anew where it is shorter. The evaluation split is
    prepared as a whole."""

    RULES: ClassVar = (
        REVISION_NEEDS_HUB,
        Rule(
            cel='!has(self.name) || !self.source.startsWith("/")',
            holds=lambda data: data.name is None or not data.source.startswith("/"),
            message='source is the path "{source}", which has no configurations; remove name or give a Hub id',
            field="name",
        ),
        Rule(
            cel='!{streaming} || !({trainSplit}.contains("%") || {trainSplit}.contains("+"))',
            holds=lambda data: not data.streaming or not set(data.train_split) & {"%", "+"},
            message='trainSplit is "{trainSplit}", but with streaming nobody knows how many rows there are; '
            "use one split and numbers of rows, like train[1000:], or turn streaming off",
            field="trainSplit",
        ),
        Rule(
            cel='!{streaming} || !has(self.evalSplit) || self.source.startsWith("/") || '
            '!(self.evalSplit.contains("%") || self.evalSplit.contains("+"))',
            holds=lambda data: (
                not data.streaming
                or data.eval_split is None
                or data.source.startswith("/")
                or not set(data.eval_split) & {"%", "+"}
            ),
            message="with streaming nobody knows how many rows the Hub has, so evalSplit can be no share of them; "
            "use one split and numbers of rows, like test[:1000], or turn streaming off",
            field="evalSplit",
        ),
        Rule(
            cel='{format} != "text" || {chatTemplate} in ["auto", "none"]',
            holds=lambda data: data.format != "text" or data.chat_template in ("auto", "none"),
            message='chatTemplate is "{chatTemplate}", which formats messages, but format is "text"; '
            "remove chatTemplate, or use format messages or promptCompletion",
            field="chatTemplate",
        ),
        Rule(
            cel='{loss} != "assistant" || {chatTemplate} != "none"',
            holds=lambda data: data.loss != "assistant" or data.chat_template != "none",
            message='loss is "assistant", but chatTemplate "none" does not mark what the assistant says; '
            "use chatTemplate chatml or zephyr, or loss all",
            field="loss",
        ),
        Rule(
            cel='{loss} != "completion" || {format} in ["auto", "promptCompletion"]',
            holds=lambda data: data.loss != "completion" or data.format in ("auto", "promptCompletion"),
            message='loss is "completion", which needs prompt and completion columns, but format is "{format}"; '
            "use format promptCompletion, or loss all or assistant",
            field="loss",
        ),
        Rule(
            cel='{loss} != "assistant" || {format} in ["auto", "messages"]',
            holds=lambda data: data.loss != "assistant" or data.format in ("auto", "messages"),
            message='loss is "assistant", which needs messages, but format is "{format}"; '
            "use format messages, or loss all or completion",
            field="loss",
        ),
        Rule(
            cel='!has(self.textField) || {format} != "promptCompletion"',
            holds=lambda data: data.text_field is None or data.format != "promptCompletion",
            message="textField names the column of the formats text and messages, but format is promptCompletion; "
            "remove textField",
            field="textField",
        ),
        Rule(
            cel='!has(self.textField) || {loss} != "completion"',
            holds=lambda data: data.text_field is None or data.loss != "completion",
            message='loss is "completion", which reads the columns prompt and completion, and no textField; '
            "remove textField, or use loss all or assistant",
            field="textField",
        ),
    )
