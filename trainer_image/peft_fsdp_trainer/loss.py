"""The language-model loss without ever holding all logits: the sum over the tokens to learn, in chunks. Used by `loop`.

For a vocabulary of 128k the logits of one row of 8k tokens are 4 GB; a chunk is at most 256 MB. Its logits are made
again in the backward pass.
"""

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from .model import Skeleton

IGNORED: Final = -100
CHUNK_ELEMENTS: Final = 2**26


class LanguageModelLoss(nn.Module):
    """The root that FSDP wraps: model and loss in one forward pass, so that the head is gathered where it is used."""

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        self.peft = skeleton.peft
        self._skeleton = skeleton
        self._chunk = max(64, CHUNK_ELEMENTS // int(skeleton.causal.config.get_text_config().vocab_size))

    def forward(self, inputs: dict[str, Any], positions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The summed negative log-likelihood of `targets` at `positions` of the flattened batch, float32."""
        hidden = self._skeleton.backbone(**inputs, use_cache=False).last_hidden_state.flatten(0, 1)
        learned = hidden.index_select(0, positions)
        total = torch.zeros((), device=hidden.device)
        if not len(targets):
            # Without a token to learn this rank still takes part in every collective, those of FSDP1 for the head too.
            total = self._skeleton.head(hidden[:1]).float().sum() * 0.0
        for states, labels in zip(torch.split(learned, self._chunk), torch.split(targets, self._chunk), strict=True):
            total = total + checkpoint(self._chunk_loss, states, labels, use_reentrant=False)
        return total

    def _chunk_loss(self, states: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits = finish_logits(self._skeleton.head(states), self._skeleton.causal.config)
        return F.cross_entropy(logits.float(), labels, reduction="sum")


def finish_logits(logits: torch.Tensor, config: Any) -> torch.Tensor:
    """What some architectures do behind the head: Granite divides, Cohere multiplies, Gemma 2 caps."""
    if (divisor := getattr(config, "logits_scaling", None)) is not None:
        logits = logits / divisor
    if (factor := getattr(config, "logit_scale", None)) is not None:
        logits = logits * factor
    if (cap := getattr(config, "final_logit_softcapping", None)) is not None:
        logits = torch.tanh(logits / cap) * cap
    return logits


def learned_tokens(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the model must predict, in the flattened batch, and what: `labels` are not shifted, and on the CPU."""
    following = torch.full_like(labels, IGNORED)
    following[:, :-1] = labels[:, 1:]
    flat = following.flatten()
    positions = (flat != IGNORED).nonzero().squeeze(1)
    return positions, flat[positions]
