"""What a row of a dataset means: a conversation, a text, or a prompt with its completion. Called by `prepare`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from peft_fsdp_api.spec import DatasetSpec

from ..errors import DatasetInvalid
from .splits import LocatedRow, Split

ROLES = ("system", "user", "assistant", "tool")

Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class Conversation:
    where: str
    messages: Messages


@dataclass(frozen=True)
class Text:
    where: str
    text: str


@dataclass(frozen=True)
class PromptCompletion:
    """Two texts, or two lists of messages."""

    where: str
    prompt: str | Messages
    completion: str | Messages


Sample = Conversation | Text | PromptCompletion


def choose_format(spec: DatasetSpec, split: Split) -> str:
    """The format of a split: what the spec names, or what the columns show.

    Raises:
        DatasetInvalid: the columns that the format needs are not there.
    """
    wanted = _detect(spec, split) if spec.format == "auto" else spec.format
    missing = [column for column in _columns(spec, wanted) if column not in split.columns]
    if missing:
        raise DatasetInvalid(
            f"split {split.name} of {spec.source} has no column {', '.join(missing)}, which format {wanted} needs; "
            f"it has {', '.join(split.columns)}",
            hint="Set dataset.format or dataset.textField to what the data holds.",
        )
    return wanted


def sample_reader(spec: DatasetSpec, wanted: str) -> Callable[[LocatedRow], Sample]:
    """The function that turns a row of the format `wanted` into a sample, or raises DatasetInvalid."""
    columns = _columns(spec, wanted)

    def conversation(located: LocatedRow) -> Sample:
        return Conversation(located[0], _messages(located, columns[0]))

    def text(located: LocatedRow) -> Sample:
        return Text(located[0], _text(located, columns[0]))

    def prompt_completion(located: LocatedRow) -> Sample:
        parts = [_messages if isinstance(located[1].get(column), list) else _text for column in columns]
        if parts[0] is not parts[1]:
            raise DatasetInvalid(f"{located[0]}: prompt and completion must both be text or both lists of messages")
        return PromptCompletion(located[0], parts[0](located, columns[0]), parts[1](located, columns[1]))

    return {"messages": conversation, "text": text, "promptCompletion": prompt_completion}[wanted]


def holds_messages(split: Split, sample_format: str) -> bool:
    """Whether a chat template is needed: for conversations, and for prompts that are lists of messages."""
    if sample_format != "promptCompletion":
        return sample_format == "messages"
    _, row = next(split.read())
    return isinstance(row["prompt"], list)


def _columns(spec: DatasetSpec, wanted: str) -> tuple[str, ...]:
    if wanted == "promptCompletion":
        return ("prompt", "completion")
    return (spec.text_field or wanted,)


def _detect(spec: DatasetSpec, split: Split) -> str:
    """The first format whose columns are there; the loss and a named column narrow what can be meant."""
    wanted_by_loss = {"completion": ("promptCompletion",), "assistant": ("messages",)}
    candidates: tuple[str, ...] = wanted_by_loss.get(spec.loss, ("messages", "promptCompletion", "text"))
    if spec.text_field is not None:
        candidates = tuple(one for one in candidates if one in _kinds_of_column(split, spec.text_field))
    for candidate in candidates:
        if all(column in split.columns for column in _columns(spec, candidate)):
            return candidate
    needed = "; or ".join(" and ".join(_columns(spec, candidate)) for candidate in candidates)
    if spec.text_field is not None:
        held = "messages" if spec.loss == "assistant" else "text or messages"
        needed = f"{held} in {spec.text_field}, which dataset.textField names"
    raise DatasetInvalid(
        f"split {split.name} of {spec.source} has the columns {', '.join(split.columns)}; "
        f"with dataset.loss {spec.loss} it needs {needed}",
        hint="Rename a column, or name the one that holds the text or the messages in dataset.textField.",
    )


def _kinds_of_column(split: Split, column: str) -> tuple[str, ...]:
    """What a named column holds: one of two formats, or none where it is not there."""
    if column not in split.columns:
        return ()
    _, row = next(split.read())
    return ("messages",) if isinstance(row[column], list) else ("text",)


def _text(located: LocatedRow, column: str) -> str:
    where, row = located
    value = row.get(column)
    if isinstance(value, str):
        return value
    raise DatasetInvalid(
        f"{where}: column {column} must be text, it is {_kind(value)}", hint="Correct the row or leave it out."
    )


def _messages(located: LocatedRow, column: str) -> Messages:
    where, row = located
    messages = row.get(column)
    if not isinstance(messages, list):
        raise DatasetInvalid(
            f"{where}: column {column} must be a list of messages, it is {_kind(messages)}",
            hint='Write it like [{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}].',
        )
    for number, message in enumerate(messages, start=1):
        _check_message(message, f"{where}: message {number} of {column}")
    return messages


def _check_message(message: Any, where: str) -> None:
    if not isinstance(message, dict) or not {"role", "content"} <= message.keys():
        raise DatasetInvalid(f"{where} needs role and content", hint="Correct the row or leave it out.")
    if message["role"] not in ROLES:
        raise DatasetInvalid(
            f"{where} has the role {message['role']!r}", hint=f"Roles are {', '.join(ROLES)}; rename it."
        )
    if not isinstance(message["content"], str):
        raise DatasetInvalid(
            f"{where} has content that is {_kind(message['content'])}", hint="Only text can be trained on."
        )


def _kind(value: Any) -> str:
    return "missing" if value is None else f"a {type(value).__name__}"
