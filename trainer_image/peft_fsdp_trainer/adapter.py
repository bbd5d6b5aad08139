"""The adapter as tensors and as files that `PeftModel.from_pretrained` loads. Used by `checkpoint` and `export`.

Only trained tensors are gathered, one at a time, and kept on rank 0 alone; the base model never is.
"""

import hashlib
from pathlib import Path
from typing import Any, Final

import torch
from peft import get_peft_model_state_dict
from safetensors.torch import save_file
from torch import nn
from torch.distributed.tensor import DTensor

from peft_fsdp_api.status import AdapterStatus

from .model import ADAPTER, Skeleton
from .model_source import ModelFolder
from .output import Output

WEIGHTS_FILE: Final = "adapter_model.safetensors"


def trained_parameters(skeleton: Skeleton) -> dict[str, nn.Parameter]:
    """The parameters with a gradient, by name."""
    return {name: value for name, value in skeleton.peft.named_parameters() if value.requires_grad}


def gather_adapter(skeleton: Skeleton, keep: bool) -> dict[str, torch.Tensor]:
    """All trained tensors in full, on the host; empty on ranks that do not `keep` them. Every rank must call it."""
    gathered: dict[str, torch.Tensor] = {}
    for name, parameter in trained_parameters(skeleton).items():
        value = parameter.detach()
        full = value.full_tensor() if isinstance(value, DTensor) else value
        if keep:
            gathered[name] = full.to("cpu", copy=True)
    return gathered


def write_adapter(folder: Path, tensors: dict[str, torch.Tensor], skeleton: Skeleton, base: ModelFolder) -> None:
    """Weights and configuration under the names and in the form that PEFT expects."""
    folder.mkdir(parents=True, exist_ok=True)
    state: dict[str, Any] = get_peft_model_state_dict(
        skeleton.peft, state_dict=tensors, adapter_name=ADAPTER, save_embedding_layers=False
    )
    contiguous = {name: value.contiguous() for name, value in state.items()}
    save_file(contiguous, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    config = skeleton.peft.peft_config[ADAPTER]
    config.base_model_name_or_path = base.source
    config.revision = base.revision
    trains, config.inference_mode = config.inference_mode, True
    config.save_pretrained(str(folder))
    config.inference_mode = trains


def adapter_status(output: Output) -> AdapterStatus:
    """Place, size and checksum of the finished adapter."""
    weights = output.adapter / WEIGHTS_FILE
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return AdapterStatus(path=output.in_volume(output.adapter), size_bytes=weights.stat().st_size, sha256=digest)
