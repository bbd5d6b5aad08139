"""Whether a model keeps the documents of a packed row apart: asked before its weights are loaded. Called by `train`.

transformers keeps them apart where it makes the attention mask, by positions that restart. The code of each model hands
the positions there, and that of GPT-OSS, AFMoE, Falcon and OPT does not: nothing but the loss would show it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import masking_utils

from .attention import FLASH
from .errors import Unsupported
from .model import Skeleton


class _Answer(Exception):
    """Ends the trial."""


class _Looked(_Answer):
    """The mask is made by the positions."""


class _Ran(_Answer):
    """The layers run, and nobody has looked at the positions."""


def check_isolation(skeleton: Skeleton, packing: bool, attention: str) -> None:
    """Raises Unsupported where a row holds several documents, by packing or because flash attention takes all rows of a
    batch as one, and the model's attention mask does not keep them apart."""
    flash = attention == FLASH
    if (packing or flash) and not looks_at_positions(skeleton):
        asked = "dataset.packing is true" if packing else f"{FLASH} takes all rows of a batch as one"
        raise Unsupported(
            f"{asked}, but {type(skeleton.causal).__name__} makes its attention mask without the positions of the "
            "documents: those of a row would see each other",
            hint=f"Set dataset.packing to false{' and model.attention to sdpa' if flash else ''}.",
        )


def looks_at_positions(skeleton: Skeleton) -> bool:
    """Whether positions have a part in the attention mask, tried without weights up to the first decoder layer."""
    tokens = torch.zeros(1, 4, dtype=torch.long, device="meta")
    try:
        with _answering(skeleton):
            skeleton.backbone(input_ids=tokens, position_ids=tokens, use_cache=False)
    except _Answer as answer:
        return isinstance(answer, _Looked)
    return False


@contextmanager
def _answering(skeleton: Skeleton) -> Iterator[None]:
    """Both places end the trial with an answer, whichever is reached first."""
    find, layers = masking_utils.find_packed_sequence_indices, [layer for _, layer in skeleton.layers]
    masking_utils.find_packed_sequence_indices = _raise(_Looked)
    for layer in layers:
        layer.forward = _raise(_Ran)
    try:
        yield
    finally:
        masking_utils.find_packed_sequence_indices = find
        for layer in layers:
            del layer.forward


def _raise(answer: type[_Answer]) -> Any:
    def place(*_inputs: Any, **_named: Any) -> None:
        raise answer

    return place
