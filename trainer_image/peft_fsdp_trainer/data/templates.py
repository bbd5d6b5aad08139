"""The built-in chat templates, and the choice between them and the model's own.

Both mark with `{% generation %}` what the assistant says, its end-of-turn token included, so that the loss can be
limited to it. Called by `rendering`, and by the demo, whose base model carries the ChatML template.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..errors import DatasetInvalid

CHATML = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message['role'] + '\\n' -}}
{%- if message['role'] == 'assistant' -%}
{% generation %}{{- message['content'] + '<|im_end|>' -}}{% endgeneration %}
{%- else -%}
{{- message['content'] + '<|im_end|>' -}}
{%- endif -%}
{{- '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""

ZEPHYR = """\
{%- for message in messages -%}
{{- '<|' + message['role'] + '|>\\n' -}}
{%- if message['role'] == 'assistant' -%}
{% generation %}{{- message['content'] + eos_token -}}{% endgeneration %}
{%- else -%}
{{- message['content'] + eos_token -}}
{%- endif -%}
{{- '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}
"""

BUILT_IN = {"chatml": CHATML, "zephyr": ZEPHYR}
TEMPLATE_TOKENS = {
    "chatml": ("<|im_start|>", "<|im_end|>"),
    "zephyr": ("<|system|>", "<|user|>", "<|assistant|>"),
}
_GENERATION_MARKER = re.compile(r"{%-?\s*generation\s*-?%}")


@dataclass(frozen=True)
class ChatTemplate:
    name: str
    """chatml, zephyr, model or none."""
    jinja: str | None
    """None for `none`: the contents are joined with line breaks."""

    @property
    def marks_generation(self) -> bool:
        return self.jinja is not None and _GENERATION_MARKER.search(self.jinja) is not None


NO_TEMPLATE = ChatTemplate("none", None)


def choose_template(wanted: str, tokenizer: Any, *, loss: str) -> ChatTemplate:
    """The template that `dataset.chatTemplate` names; `auto` is the model's own, or ChatML where it has none.

    Raises:
        DatasetInvalid: the model has no template, or the template does not fit the loss or the tokenizer.
    """
    name = wanted if wanted != "auto" else ("model" if tokenizer.chat_template else "chatml")
    template = ChatTemplate(name, _jinja(name, tokenizer))
    if loss == "assistant" and not template.marks_generation:
        raise DatasetInvalid(
            f"dataset.loss is assistant, but the chat template {name} does not mark what the assistant says",
            hint="Set dataset.chatTemplate to chatml or zephyr, or dataset.loss to all.",
        )
    if name == "zephyr" and not tokenizer.eos_token:
        raise DatasetInvalid(
            "the chat template zephyr ends each turn with the EOS token, and the model's tokenizer has none",
            hint="Set dataset.chatTemplate to chatml.",
        )
    return template


def _jinja(name: str, tokenizer: Any) -> str | None:
    if name == "none":
        return None
    if name != "model":
        return BUILT_IN[name]
    if not tokenizer.chat_template:
        raise DatasetInvalid(
            "dataset.chatTemplate is model, but the model's tokenizer has no chat template",
            hint="Set dataset.chatTemplate to chatml or zephyr.",
        )
    text: str = tokenizer.get_chat_template()
    return text


def template_warnings(template: ChatTemplate, tokenizer: Any) -> tuple[str, ...]:
    """What a user should know about the template's own tokens: nothing is ever added to the vocabulary, because
    new embeddings would stay untrained beside frozen ones."""
    vocabulary = tokenizer.get_vocab()
    absent = [token for token in TEMPLATE_TOKENS.get(template.name, ()) if token not in vocabulary]
    if not absent:
        return ()
    return (
        f"The tokens {', '.join(absent)} of the chat template {template.name} are not in the model's vocabulary: "
        "they are written as ordinary text, and the vocabulary stays as it is.",
    )
