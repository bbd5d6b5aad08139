"""The base model's skeleton with the adapter in it, without any weights. `loading` fills it layer by layer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.dynamic_module_utils import get_class_from_dynamic_module
from transformers.initialization import no_init_weights
from transformers.models.auto.auto_factory import _get_model_class

from peft_fsdp_api.spec import LoraSpec, ModelSpec, QuantizationSpec

from .errors import ModelNotAvailable, Unsupported
from .prequantized import check_quantization

PEFT_PREFIX: Final = "base_model.model."
ADAPTER: Final = "default"
ALL_LINEAR: Final = "all-linear"


@dataclass(frozen=True)
class Skeleton:
    """A causal language model with adapters, on the meta device until it is loaded."""

    peft: PeftModel
    dtype: torch.dtype
    parameter_count: int
    """Parameters of base and adapter, each counted once; 4-bit packing hides them later."""

    @property
    def causal(self) -> Any:
        """The transformers model inside."""
        return self.peft.get_base_model()

    @property
    def backbone(self) -> Any:
        """The transformers model below the output head."""
        causal = self.causal
        # Llama 4 names its backbone as it is called in the model for images.
        return getattr(causal, causal.base_model_prefix, None) or causal.model

    @property
    def head(self) -> nn.Module:
        """The output head, as it is called (modulesToSave may wrap it)."""
        return cast("nn.Module", self.causal.get_output_embeddings())

    @property
    def fused_weights(self) -> list[str]:
        """Weights of several linear layers in one, such as the experts of a mixture; these are not packed in 4 bit."""
        named = self.causal.named_parameters()
        return [name for name, parameter in named if parameter.dim() > 2 and not parameter.requires_grad]

    @property
    def layers(self) -> list[tuple[str, nn.Module]]:
        """The decoder layers with their names, in order."""
        kinds = set(self.causal._no_split_modules or ())
        found = [(name, module) for name, module in self.peft.named_modules() if type(module).__name__ in kinds]
        if not found:
            raise Unsupported(f"{type(self.causal).__name__} does not say what its decoder layers are")
        return found


def read_model_config(folder: Path, spec: ModelSpec, quantization: QuantizationSpec | None = None) -> Any:
    """The base model's configuration. Raises ModelNotAvailable or Unsupported, naming what is wrong with it.

    A base that is stored in 4 bit must be what `quantization` says.
    """
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=spec.trust_remote_code)
    except (OSError, ValueError) as error:
        raise ModelNotAvailable(f"{spec.source} has no configuration that transformers can read: {error}") from error
    stored = getattr(config, "quantization_config", None)
    if stored:
        check_quantization(stored, spec, quantization)
        # The loader packs the layers itself; transformers must not.
        del config.quantization_config
    return config


def model_class(config: Any, spec: ModelSpec) -> type | None:
    """The class that `build_skeleton` makes the model of: transformers' own, or one that comes with the model. None
    where there is none, which `build_skeleton` says."""
    coming = (getattr(config, "auto_map", None) or {}).get(AutoModelForCausalLM.__name__)
    if coming is not None and spec.trust_remote_code:
        return cast("type", get_class_from_dynamic_module(coming, config.name_or_path))
    known = AutoModelForCausalLM._model_mapping
    return cast("type", _get_model_class(config, known)) if type(config) in known else None


def model_name(config: Any, spec: ModelSpec) -> str:
    """The class of the model in messages, or what its configuration calls it where there is none."""
    found = model_class(config, spec)
    return found.__name__ if found else str(config.model_type)


def build_skeleton(config: Any, spec: ModelSpec, lora: LoraSpec, dtype: torch.dtype, attention: str) -> Skeleton:
    """The model without weights, adapters injected, everything but the adapter frozen.

    Raises:
        Unsupported: the model is no causal language model, lacks the attention kernel, or has no module of a
            name in lora.targets or lora.modulesToSave.
    """
    with torch.device("meta"):
        try:
            causal = AutoModelForCausalLM.from_config(
                config, dtype=dtype, attn_implementation=attention, trust_remote_code=spec.trust_remote_code
            )
        except (ValueError, ImportError) as error:
            raise Unsupported(f"{spec.source} cannot be trained as asked: {error}") from error
    causal.config.use_cache = False
    try:
        # The loader gives the adapter its values; PEFT would only go through the motions of it. On the meta device by
        # PEFT's own means: with torch's every call of a torch function passes through Python first.
        with no_init_weights():
            peft = get_peft_model(causal, lora_config(lora), low_cpu_mem_usage=True)
    except ValueError as error:
        raise Unsupported(
            f"lora.targets or lora.modulesToSave do not fit {spec.source}: {error}",
            hint="The experts of a mixture take no dropout: set lora.dropout to 0, or name the attention's modules."
            if "dropout" in str(error)
            else "Name modules that the model has, or use all-linear.",
        ) from error
    count = sum(parameter.numel() for parameter in peft.parameters())
    return Skeleton(peft=cast("PeftModel", peft), dtype=dtype, parameter_count=count)


def lora_config(spec: LoraSpec) -> LoraConfig:
    """The adapter in PEFT's words."""
    targets: str | list[str] = ALL_LINEAR if spec.targets == [ALL_LINEAR] else spec.targets
    return LoraConfig(
        r=spec.rank,
        lora_alpha=spec.alpha,
        lora_dropout=spec.dropout,
        target_modules=targets,
        modules_to_save=spec.modules_to_save or None,
        use_dora=spec.variant == "dora",
        use_rslora=spec.variant == "rslora",
        task_type="CAUSAL_LM",
    )


def checkpoint_name(parameter: str) -> str:
    """The name that a parameter of the adapted model has in the base model's files."""
    name = parameter.removeprefix(PEFT_PREFIX)
    for inserted in ("._fsdp_wrapped_module", ".base_layer", ".original_module", f".modules_to_save.{ADAPTER}"):
        name = name.replace(inserted, "")
    return name
