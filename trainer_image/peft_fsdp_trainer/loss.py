"""The language-model loss without ever holding all logits: the sum over the tokens to learn, in chunks. Used by `loop`.

For a vocabulary of 128k the logits of one row of 8k tokens are 4 GB; a chunk is at most 256 MB. Its logits are made
again in the backward pass.

What comes behind the backbone is the model's own code, run on a chunk: architectures scale, cap and cut their logits
each in its own way (Granite divides by the number by which HyperCLOVA X multiplies), and a list of ours would be wrong
without a sign for the next one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from .errors import Unsupported
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
        output = self._skeleton.backbone(**inputs, use_cache=False)
        made, hidden = type(output), output.last_hidden_state.flatten(0, 1)
        learned = hidden.index_select(0, positions)
        total = torch.zeros((), device=hidden.device)
        if not len(targets):
            # Without a token to learn this rank still takes part in every collective, those of FSDP1 for the head too.
            total = self._logits(made, hidden[:1]).float().sum() * 0.0
        for states, labels in zip(torch.split(learned, self._chunk), torch.split(targets, self._chunk), strict=True):
            total = total + checkpoint(self._chunk_loss, made, states, labels, use_reentrant=False)
        return total

    def _chunk_loss(self, made: type[Any], states: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(self._logits(made, states).float(), labels, reduction="sum")

    def _logits(self, made: type[Any], states: torch.Tensor) -> torch.Tensor:
        """What the model's own code makes of (tokens, width) states of its backbone, whose output is of type `made`."""
        tokens = torch.zeros(1, len(states), dtype=torch.long, device=states.device)
        with _answering(self._skeleton, made(last_hidden_state=states[None])):
            logits: torch.Tensor = self._skeleton.causal(input_ids=tokens, use_cache=False).logits
        return logits.squeeze(0)


@contextmanager
def _answering(skeleton: Skeleton, output: Any) -> Iterator[None]:
    """In place of running its layers, the backbone answers `output`.

    Raises:
        Unsupported: the model did not ask its backbone once, so its logits are of something else.
    """
    asked = 0

    def answer(*_inputs: Any, **_named: Any) -> Any:
        nonlocal asked
        asked += 1
        return output

    # The modules stay where they are: Falcon-H1 looks up in its backbone by what it multiplies. OPT asks the decoder
    # inside at once.
    backbones = {skeleton.backbone, skeleton.backbone.get_decoder()}
    for backbone in backbones:
        backbone.forward = answer
    try:
        yield
    finally:
        for backbone in backbones:
            del backbone.forward
    if asked != 1:
        raise Unsupported(f"{type(skeleton.causal).__name__} makes its logits of more than its backbone's last states")


def learned_tokens(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the model must predict, in the flattened batch, and what: `labels` are not shifted, and on the CPU."""
    following = torch.full_like(labels, IGNORED)
    following[:, :-1] = labels[:, 1:]
    flat = following.flatten()
    positions = (flat != IGNORED).nonzero().squeeze(1)
    return positions, flat[positions]
