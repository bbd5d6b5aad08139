"""The adapter as tensors and as files that `PeftModel.from_pretrained` loads. Used by `checkpoint` and `export`.

Only trained tensors are gathered, one at a time, and kept on rank 0 alone; the base model never is.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import torch
from safetensors.torch import save_file

from peft_fsdp_api.status import AdapterStatus

from .model import ADAPTER, Skeleton
from .model_source import ModelFolder
from .output import Output
from .trained import TrainedTensor

WEIGHTS_FILE: Final = "adapter_model.safetensors"


def gather_adapter(trained: Iterable[TrainedTensor], keep: bool) -> dict[str, torch.Tensor]:
    """All trained tensors in full, on the host; empty on ranks that do not `keep` them. Every rank must call it."""
    gathered: dict[str, torch.Tensor] = {}
    for tensor in trained:
        full = tensor.full()
        if keep:
            gathered[tensor.name] = full.to("cpu", copy=True)
    return gathered


def saved_name(name: str) -> str:
    """The name of a trained tensor in an adapter file.

    PEFT's `get_peft_model_state_dict` gives the same names, but asks the modules, and those of FSDP1 answer with a
    collective.
    """
    for inserted in (f".modules_to_save.{ADAPTER}", f".{ADAPTER}"):
        name = name.replace(inserted, "")
    return name.removesuffix(".weight") if name.endswith("lora_magnitude_vector.weight") else name


def write_adapter(folder: Path, tensors: dict[str, torch.Tensor], skeleton: Skeleton, base: ModelFolder) -> None:
    """Weights and configuration under the names and in the form that PEFT expects."""
    folder.mkdir(parents=True, exist_ok=True)
    contiguous = {saved_name(name): value.contiguous() for name, value in tensors.items()}
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
