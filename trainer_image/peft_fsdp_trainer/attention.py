"""Which attention kernel runs: what was asked, and what this image and device have. Called by `train` before the data.

Packed rows are collated differently for flash attention, so the answer is needed before the first batch is made.
"""

import importlib.util
from typing import Any, Final

from peft_fsdp_api.spec import ModelSpec

from .errors import Unsupported

FLASH: Final = "flash_attention_2"


def choose_attention(spec: ModelSpec, config: Any, device_type: str) -> str:
    """The implementation to load the model with; `config` is the base model's configuration.

    Raises:
        Unsupported: a kernel was named that the image, the device or the model does not have.
    """
    missing = _missing_for_flash(device_type)
    if spec.attention == "auto":
        return "sdpa" if missing else FLASH
    if spec.attention == FLASH and missing:
        raise Unsupported(
            f"model.attention is {FLASH}, but {missing}",
            hint="Use model.attention auto, sdpa or flex_attention, or an image with the flash-attn package.",
        )
    if spec.attention == "flex_attention" and device_type != "cuda":
        raise Unsupported(
            f"model.attention is flex_attention, which trains on GPUs only; {config.model_type} on a CPU "
            "runs with sdpa or eager"
        )
    return spec.attention


def _missing_for_flash(device_type: str) -> str | None:
    if device_type != "cuda":
        return "it needs a GPU"
    if importlib.util.find_spec("flash_attn") is None:
        return "the image has no flash-attn package"
    return None
