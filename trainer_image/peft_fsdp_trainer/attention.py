"""Which attention kernel runs: what was asked, and what image, device and model have. Called by `train` before data.

Packed rows are collated differently for flash attention, so the answer is needed before the first batch is made.
"""

import importlib.util
from dataclasses import dataclass
from typing import Any, Final, Self

import torch

from peft_fsdp_api.spec import ModelSpec
from peft_fsdp_api.trainer_config import TrainerConfig

from .errors import Unsupported
from .model import model_class, model_name

FLASH: Final = "flash_attention_2"
OLDEST_WITH_FLASH: Final = (8, 0)
"""Compute capability of Ampere. On older GPUs the package imports, and its kernels fail in the first step."""


@dataclass(frozen=True)
class Means:
    """All that flash attention depends on."""

    device_type: str
    capability: tuple[int, int]
    """Compute capability of the GPU; zeros without one."""
    precision: str
    has_package: bool
    model: str
    """Class of the model, as transformers calls it."""
    model_has_flash: bool

    @classmethod
    def of(cls, config: TrainerConfig, model_config: Any, device: torch.device) -> Self:
        """What this rank has."""
        found = model_class(model_config, config.model)
        return cls(
            device_type=device.type,
            capability=torch.cuda.get_device_capability(device) if device.type == "cuda" else (0, 0),
            precision=config.training.precision,
            has_package=importlib.util.find_spec("flash_attn") is not None,
            model=model_name(model_config, config.model),
            model_has_flash=found is not None and _has_flash(found),
        )


@dataclass(frozen=True)
class Attention:
    """The implementation to load the model with, and why it is not flash attention, where `auto` chose."""

    name: str
    why: str = ""

    @property
    def words(self) -> str:
        """For the log and the model card."""
        return f"{self.name} runs" + (f" ({self.why})" if self.why else "")


def choose_attention(spec: ModelSpec, means: Means) -> Attention:
    """The kernel that was asked for, or the best there is.

    Raises:
        Unsupported: a kernel was named that the image, the device or the model does not have.
    """
    missing = _missing_for_flash(means)
    if spec.attention == "auto":
        return Attention("sdpa", f"no {FLASH}: {missing}") if missing else Attention(FLASH)
    if spec.attention == FLASH and missing:
        image = "" if means.has_package else ", or an image with the flash-attn package"
        raise Unsupported(
            f"model.attention is {FLASH}, but {missing}",
            hint=f"Use model.attention auto, sdpa or flex_attention{image}.",
        )
    if spec.attention == "flex_attention" and means.device_type != "cuda":
        raise Unsupported(
            f"model.attention is flex_attention, which trains on GPUs only; {means.model} on a CPU "
            "runs with sdpa or eager"
        )
    return Attention(spec.attention)


def _missing_for_flash(means: Means) -> str | None:
    if means.device_type != "cuda":
        return "it needs a GPU"
    if means.capability < OLDEST_WITH_FLASH:
        has, needs = (".".join(map(str, version)) for version in (means.capability, OLDEST_WITH_FLASH))
        return f"it needs a GPU of compute capability {needs} or more, and this one has {has}"
    if means.precision == "float32":
        return "it computes in 16 bit, and training.precision is float32"
    if not means.has_package:
        return "the image has no flash-attn package"
    if not means.model_has_flash:
        return f"transformers has none for {means.model}"
    return None


def _has_flash(model: Any) -> bool:
    """Whether transformers builds the class with it. Where the class names other kernels, it takes one of those without
    an error, whatever was asked for."""
    compatible = getattr(model, "_compatible_flash_implementations", None)
    return getattr(model, "_supports_flash_attn", False) and (compatible is None or FLASH in compatible)
