"""Turns samples into token ids with a mask of what is learned. Called by `prepare`, in blocks of some hundred samples.

Special tokens: a chat template writes its own, so nothing is added to it. Plain text gets what the tokenizer puts
around a text (BOS for Llama) unless it begins with BOS already, and EOS at its end unless it has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from jinja2 import TemplateError

from ..errors import DatasetInvalid
from .rows import Document
from .samples import Conversation, Messages, PromptCompletion, Sample, Text
from .templates import ChatTemplate

Ids = list[int]


@dataclass(frozen=True)
class Tokenization:
    """How samples become documents: the tokenizer, and what `spec.dataset` says about template and loss."""

    tokenizer: Any
    template: ChatTemplate
    loss: str

    def documents(self, samples: Sequence[Sample]) -> Iterator[Document]:
        """One document per sample, in their order, not cut yet. All samples are of one kind."""
        if isinstance(samples[0], PromptCompletion):
            yield from self._prompt_completions(cast(Sequence[PromptCompletion], samples))
        elif isinstance(samples[0], Conversation) and self.loss == "assistant":
            for sample in cast(Sequence[Conversation], samples):
                yield self._assistant_turns(sample)
        else:
            yield from self._whole_texts(cast(Sequence[Conversation | Text], samples))

    def _whole_texts(self, samples: Sequence[Conversation | Text]) -> Iterator[Document]:
        if isinstance(samples[0], Conversation) and self.template.jinja is not None:
            texts = [
                self._rendered(sample.where, sample.messages) for sample in samples if isinstance(sample, Conversation)
            ]
            all_ids = self._ids(texts, special_tokens=False)
        else:
            all_ids = [self._ended(ids) for ids in self._plain_ids([_plain(sample) for sample in samples])]
        for ids in all_ids:
            yield _document(ids, [True] * len(ids))

    def _assistant_turns(self, sample: Conversation) -> Document:
        """Learned is what the template marks as generated, with the special token that ends the turn."""
        if not sample.messages:
            return _document([], [])
        encoded = self._apply(sample.where, sample.messages, tokenize=True)
        ids: Ids = encoded["input_ids"]
        learned = [bool(mark) for mark in encoded["assistant_masks"]]
        special = {number for number, token in self.tokenizer.added_tokens_decoder.items() if token.special}
        for end in _ends(learned):
            last_two = set(ids[max(0, end - 2) : end])  # the end of turn, and perhaps a line break after it
            if ids[end] in special and not special & last_two:
                learned[end] = True
        return _document(ids, learned)

    def _prompt_completions(self, samples: Sequence[PromptCompletion]) -> Iterator[Document]:
        """Learned is all that follows the tokens which the prompt alone would have."""
        for sample in samples:
            prompt_text, whole_text = self._prompt_and_whole(sample)
            if isinstance(sample.prompt, list) and self.template.jinja is not None:
                prompt, ids = self._ids([prompt_text, whole_text], special_tokens=False)
            else:
                prompt, whole = self._plain_ids([prompt_text, whole_text])
                ids = self._ended(whole)
            shared = _common_prefix(prompt, ids) if self.loss == "completion" else 0
            yield _document(ids, [place >= shared for place in range(len(ids))])

    def _prompt_and_whole(self, sample: PromptCompletion) -> tuple[str, str]:
        prompt, completion = sample.prompt, sample.completion
        if isinstance(prompt, str) and isinstance(completion, str):
            return prompt, prompt + completion
        messages = cast(Messages, prompt), cast(Messages, completion)
        if self.template.jinja is None:
            return _joined(messages[0]) + "\n", _joined(messages[0] + messages[1])
        asked = self._apply(sample.where, messages[0], tokenize=False, add_generation_prompt=True)
        return asked, self._rendered(sample.where, messages[0] + messages[1])

    def _rendered(self, where: str, messages: Messages) -> str:
        return cast(str, self._apply(where, messages, tokenize=False)) if messages else ""

    def _apply(self, where: str, messages: Messages, *, tokenize: bool, **options: Any) -> Any:
        if tokenize:
            options |= {"return_dict": True, "return_assistant_tokens_mask": True}
        try:
            return self.tokenizer.apply_chat_template(
                messages, chat_template=self.template.jinja, tokenize=tokenize, **options
            )
        except TemplateError as error:
            raise DatasetInvalid(
                f"{where}: the chat template {self.template.name} refuses the conversation: {error}",
                hint="Correct the order of the roles, or set dataset.chatTemplate to chatml.",
            ) from error

    def _plain_ids(self, texts: list[str]) -> list[Ids]:
        """With the tokenizer's own special tokens, except where the text has its BOS already."""
        bos = self.tokenizer.bos_token
        bare = [place for place, text in enumerate(texts) if bos and text.startswith(bos)]
        all_ids = self._ids(texts, special_tokens=True)
        for place in bare:
            (all_ids[place],) = self._ids([texts[place]], special_tokens=False)
        return all_ids

    def _ids(self, texts: list[str], *, special_tokens: bool) -> list[Ids]:
        encoded = self.tokenizer(texts, add_special_tokens=special_tokens, return_attention_mask=False)
        return cast(list[Ids], encoded["input_ids"])

    def _ended(self, ids: Ids) -> Ids:
        """With EOS at the end, unless nothing but special tokens is there: an empty text stays empty."""
        end = self.tokenizer.eos_token_id
        empty = set(ids) <= {self.tokenizer.bos_token_id, end}
        if empty:
            return []
        return ids if end is None or ids[-1] == end else [*ids, end]


def _ends(learned: list[bool]) -> list[int]:
    """The places right behind a learned stretch."""
    return [place for place in range(1, len(learned)) if learned[place - 1] and not learned[place]]


def _plain(sample: Sample) -> str:
    return sample.text if isinstance(sample, Text) else _joined(cast(Conversation, sample).messages)


def _joined(messages: Messages) -> str:
    return "\n".join(message["content"] for message in messages)


def _common_prefix(prompt: Ids, whole: Ids) -> int:
    for place, (left, right) in enumerate(zip(prompt, whole, strict=False)):
        if left != right:
            return place
    return min(len(prompt), len(whole))


def _document(ids: Ids, learned: list[bool]) -> Document:
    return Document(np.asarray(ids, dtype=np.int32), np.asarray(learned, dtype=np.bool_))
