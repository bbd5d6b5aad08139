"""The base model with the finished adapter merged in, in 16 bit: tensor by tensor, never the whole model. Used by
`train`.

The files are shared out over the ranks; of each, a tensor is read, merged and written before the next one.
"""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from peft import LoraConfig
from safetensors import safe_open

from peft_fsdp_api.progress import Stage
from peft_fsdp_api.trainer_config import TrainerConfig

from .adapter import WEIGHTS_FILE
from .disk_space import naming_full_disk
from .distributed import Ranks
from .errors import Unsupported
from .log import log
from .model import PEFT_PREFIX
from .model_source import fetch_model
from .output import Output
from .precision import TORCH_TYPES
from .prequantized import is_packed, is_state, read_dequantized
from .report import Reporter
from .tensor_file import write_tensors
from .weights import INDEX_FILE, WeightFiles, find_weights

COPIED: Final = ("*.json", "*.model", "*.txt", "*.jinja", "*.py")


@dataclass(frozen=True)
class FinishedAdapter:
    """The tensors and the configuration of an exported adapter."""

    tensors: dict[str, torch.Tensor]
    config: LoraConfig

    def unmatched(self, names: Iterable[str]) -> list[str]:
        """Tensors of the adapter that belong to none of these base tensors."""
        bases = {f"{PEFT_PREFIX}{name}" for name in names}
        owners = {name: name.partition(".lora_")[0] for name in self.tensors}
        return sorted(
            name
            for name, owner in owners.items()
            if name not in bases and (owner == name or f"{owner}.weight" not in bases)
        )

    def merged(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """The base tensor `name` with the adapter's part, in float32 where the adapter touches it."""
        saved = self.tensors.get(f"{PEFT_PREFIX}{name}")
        if saved is not None:
            return saved
        module = f"{PEFT_PREFIX}{name.removesuffix('.weight')}"
        a, b = self.tensors.get(f"{module}.lora_A.weight"), self.tensors.get(f"{module}.lora_B.weight")
        if a is None or b is None:
            return weight
        rank = self.config.r
        scaling = self.config.lora_alpha / (rank**0.5 if self.config.use_rslora else rank)
        # The operations are PEFT's, in their order, and so are the bits.
        updated: torch.Tensor = self._turned(weight.float()) + (b @ a) * scaling
        magnitude = self.tensors.get(f"{module}.lora_magnitude_vector")
        if magnitude is not None:
            updated = updated * (magnitude / torch.linalg.norm(updated, dim=1))[:, None]
        return self._turned(updated)

    def _turned(self, weight: torch.Tensor) -> torch.Tensor:
        """Between the form of the files and (out, in), which differ for the layers of GPT-2 and its like."""
        return weight.T if self.config.fan_in_fan_out else weight


def write_merged_model(config: TrainerConfig, output: Output, ranks: Ranks, reporter: Reporter) -> None:
    """Write the merged model into its place; nothing is done where it is there already. Every rank must call it."""
    if ranks.decide(output.merged.exists):
        return
    base = fetch_model(config.model, Path(config.paths.cache), ranks, reporter)
    weights = find_weights(base.folder)
    adapter = read_adapter(output.adapter)
    _refuse_unmatched(adapter, weights)
    precision = TORCH_TYPES[config.training.precision]
    dtype = torch.bfloat16 if precision == torch.float32 else precision
    files = sorted(set(weights.files.values()))
    reporter.stage(Stage.EXPORT, len(files))
    with naming_full_disk(output.volume, "the merged model"), output.fence.around():
        partial = ranks.decide(lambda: output.begin_folder(output.merged))
        for start in range(0, len(files), ranks.world_size):
            mine = files[start : start + ranks.world_size][ranks.rank : ranks.rank + 1]
            for file in mine:
                _write_file(partial / file, file, weights, adapter, dtype)
            # A round at a time: no rank waits in a collective for longer than one file takes.
            ranks.barrier()
            reporter.advance(min(start + ranks.world_size, len(files)))
        weights.close()

        def finish() -> None:
            _copy_companions(base.folder, output.adapter, partial, weights, dtype)
            output.end_folder(partial, output.merged)

        ranks.decide(finish)
    log(ranks, f"merged model in {output.in_volume(output.merged)}")


def read_adapter(folder: Path) -> FinishedAdapter:
    """An exported adapter. Raises Unsupported for a kind that cannot be merged into the base weights."""
    with safe_open(folder / WEIGHTS_FILE, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    embeddings = [name for name in tensors if "lora_embedding" in name]
    if embeddings:
        raise Unsupported(
            f"output.merge cannot merge the adapter of an embedding: {embeddings[0]}",
            hint="Take the embedding out of lora.targets, or turn output.merge off.",
        )
    return FinishedAdapter(tensors, LoraConfig.from_pretrained(str(folder)))


def _refuse_unmatched(adapter: FinishedAdapter, weights: WeightFiles) -> None:
    """Nothing of an adapter is left out silently."""
    left = adapter.unmatched(weights.files)
    if left:
        raise Unsupported(
            f"output.merge cannot merge {left[0]} and {len(left) - 1} more: the files of the base hold these weights "
            "under other names or in other pieces (fused experts, a tied head)",
            hint="The adapter is complete; load it with PeftModel.from_pretrained and merge_and_unload, or turn "
            "output.merge off.",
        )


def _write_file(path: Path, file: str, weights: WeightFiles, adapter: FinishedAdapter, dtype: torch.dtype) -> None:
    names = [name for name, where in weights.files.items() if where == file and not is_state(weights, name)]
    write_tensors(path, names, (adapter.merged(name, _base_tensor(weights, name)).to(dtype) for name in names))


def _base_tensor(weights: WeightFiles, name: str) -> torch.Tensor:
    return read_dequantized(weights, name) if is_packed(weights, name) else weights.read(name)


def _copy_companions(base: Path, adapter: Path, place: Path, weights: WeightFiles, dtype: torch.dtype) -> None:
    """Configuration and tokenizer; the tokenizer comes from the adapter, which knows the chat template."""
    for folder in (base, adapter):
        for pattern in COPIED:
            for path in folder.glob(pattern):
                if not path.name.startswith("adapter_"):
                    shutil.copyfile(path, place / path.name)
    config = place / "config.json"
    content = json.loads(config.read_text())
    # A base that was stored in 4 bit or in float32 is written in 16 bit.
    content.pop("quantization_config", None)
    content.pop("torch_dtype", None)  # the older name
    content["dtype"] = str(dtype).removeprefix("torch.")
    config.write_text(json.dumps(content, indent=2))
    index = place / INDEX_FILE
    if index.exists():
        content = json.loads(index.read_text())
        kept = {name: file for name, file in content["weight_map"].items() if not is_state(weights, name)}
        content["weight_map"] = kept
        content["metadata"] = {"total_size": sum(path.stat().st_size for path in place.glob("*.safetensors"))}
        index.write_text(json.dumps(content))
