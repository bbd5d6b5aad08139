"""The logits of a trained job twice: from the sharded state that training ended with, and from the exported adapter."""

from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import torch
from peft import PeftModel
from torch.distributed.checkpoint.state_dict_loader import load
from transformers import AutoModelForCausalLM

from peft_fsdp_api.spec import FsdpSpec, LoraSpec, ModelSpec, QuantizationSpec
from peft_fsdp_trainer.distributed import join_ranks
from peft_fsdp_trainer.loading import Loader
from peft_fsdp_trainer.model import build_skeleton, read_model_config
from peft_fsdp_trainer.precision import Precision
from peft_fsdp_trainer.sharding import plan_sharding
from peft_fsdp_trainer.weights import find_weights
from tests.cluster.losses import storage
from tests.trainer.core.gang import run_ranks

RANKS = 2


def trainer_logits(base: Path, checkpoint: Path, spec: dict[str, Any], tokens: list[int], folder: Path) -> torch.Tensor:
    """float32 [tokens, vocabulary], of the base sharded over two ranks with the adapter's shards of a checkpoint."""
    run_ranks(_write_logits, RANKS, folder, base, checkpoint, spec, tokens, folder / "logits.pt")
    logits: torch.Tensor = torch.load(folder / "logits.pt", weights_only=True)
    return logits


def exported_logits(base: Path, adapter: Path, quantized: bool, tokens: list[int]) -> torch.Tensor:
    """float32 [tokens, vocabulary], by transformers and peft alone; adapters compute in the type of the base."""
    model = AutoModelForCausalLM.from_pretrained(base, **storage(quantized))
    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            # The fused CPU kernel, which sharded weights cannot use, rounds in other places than the portable one.
            module.support_avx512bf16_for_cpu = False
    adapted = PeftModel.from_pretrained(model, str(adapter), autocast_adapter_dtype=False).eval()
    with torch.no_grad():
        logits: torch.Tensor = adapted(input_ids=torch.tensor([tokens])).logits[0].float()
    return logits


def _write_logits(base: Path, checkpoint: Path, spec: dict[str, Any], tokens: list[int], file: Path) -> None:
    ranks, model = join_ranks("cpu"), ModelSpec(source=str(base))
    skeleton = build_skeleton(
        read_model_config(base, model), model, LoraSpec.model_validate(spec["lora"]), torch.bfloat16, "sdpa"
    )
    quantization = QuantizationSpec.model_validate(spec["quantization"]) if "quantization" in spec else None
    sharding = plan_sharding(FsdpSpec(), Precision(torch.bfloat16), ranks, compile_layers=False)
    loader = Loader(skeleton, find_weights(base), ranks.device, quantization, 0)
    loader.load(sharding.shard_layer, lambda done, total: None)
    sharding.shard_root(skeleton, skeleton.peft)
    trained = {f"adapter/{name}": p.detach() for name, p in skeleton.peft.named_parameters() if p.requires_grad}
    load(trained, checkpoint_id=checkpoint / "state")
    with torch.no_grad():
        logits = skeleton.peft.eval()(input_ids=torch.tensor([tokens])).logits[0].float()
    if ranks.is_first:
        torch.save(logits, file)
