"""Models whose layers carry something from token to token: one document per row. Called by `train` before the data.

Attention keeps the documents of a row apart by their positions. A recurrence or a convolution does not look at
positions: its state goes from the end of a document into the next one of the row, and nothing but the loss would show
it. Padding does no harm, since it comes behind the document; nothing that follows it is learned.
"""

from typing import Any, Final

from peft_fsdp_api.trainer_config import TrainerConfig

from .attention import FLASH, Attention
from .errors import Unsupported
from .model import model_class, model_name

CARRYING: Final = frozenset(
    {
        "linear_attention",
        "conv",
        "hybrid",
        "hybrid_sliding",
        # Keys of many tokens in one, whichever document they are of.
        "compressed_sparse_attention",
        "heavily_compressed_attention",
    }
)
"""Layer types, in the words of transformers' configurations, that are not held to a document by positions."""


def keep_rows_apart(config: TrainerConfig, model_config: Any, attention: Attention) -> Attention:
    """The kernel to run: for a model that carries state never flash attention, for which all rows of a batch are laid
    end to end.

    Raises:
        Unsupported: packing or flash attention was asked for, and the model carries state.
    """
    model = carrying_model(config, model_config)
    if model is None:
        return attention
    because = f"layers of {model} carry their state from one document of a row into the next"
    if config.dataset.packing:
        raise Unsupported(
            f"dataset.packing is true, but {because}", hint="Set dataset.packing to false: one document per row."
        )
    if attention.name != FLASH:
        return attention
    if config.model.attention == FLASH:
        raise Unsupported(
            f"model.attention is {FLASH}, which takes all rows of a batch as one, but {because}",
            hint="Use model.attention auto or sdpa.",
        )
    return Attention("sdpa", f"no {FLASH}, which takes all rows as one: {because}")


def carrying_model(config: TrainerConfig, model_config: Any) -> str | None:
    """The class of the model where its layers carry state; None where they do not."""
    found = model_class(model_config, config.model)
    # LFM2 and MiniMax say it in their configuration alone, RWKV and xLSTM in their class alone.
    kinds = set(getattr(model_config.get_text_config(), "layer_types", None) or ())
    if kinds & CARRYING or getattr(found, "_is_stateful", False):
        return model_name(model_config, config.model)
    return None
