"""Packed weights that come out of sharding changed end the run with a reason of their own, on every rank."""

import pytest
import torch
from torch.distributed.tensor import DTensor

from peft_fsdp_api.spec import FsdpSpec, LoraSpec, ModelSpec, QuantizationSpec
from peft_fsdp_trainer.loading import Loader
from peft_fsdp_trainer.model import build_skeleton, read_model_config
from peft_fsdp_trainer.weights import find_weights
from tests.trainer.core.gang import run_ranks, train_rank


def load_checked(folder, flip: bool, casts_to: str, version: int) -> str:
    """Load with the check; rank 1 flips a bit of its shard, or FSDP casts the packed numbers to another type."""
    from peft_fsdp_trainer.distributed import join_ranks
    from peft_fsdp_trainer.precision import TORCH_TYPES, Precision
    from peft_fsdp_trainer.self_check import SelfCheck
    from peft_fsdp_trainer.sharding import plan_sharding

    ranks = join_ranks("cpu")
    precision = Precision(TORCH_TYPES[casts_to], fsdp_casts=True)
    plan = plan_sharding(FsdpSpec(version=version), precision, ranks, compile_layers=False)

    def shard_layer(layer):
        sharded = plan.shard_layer(layer)
        if flip and ranks.rank == 1:
            _own_part(layer.mlp.down_proj.base_layer, sharded)[3] ^= 1
        return sharded

    check = SelfCheck(shard_layer, plan.gathered, ranks)
    spec = ModelSpec(source=str(folder))
    skeleton = build_skeleton(read_model_config(folder, spec), spec, LoraSpec(rank=4), torch.bfloat16, "sdpa")
    loader = Loader(skeleton, find_weights(folder), ranks.device, QuantizationSpec(scheme="nf4"), 7)
    loader.load(check, lambda done, total: None)
    return check.words


def _own_part(linear, sharded) -> torch.Tensor:
    """This rank's bytes of down_proj; FSDP1 has those of the layer in a row, down_proj before two norms."""
    if isinstance(linear.weight, DTensor):
        return linear.weight.to_local().view(torch.uint8).flatten()
    return next(sharded.module.parameters(recurse=False)).detach().view(torch.uint8)[-4096 - 256 :]


@pytest.mark.parametrize(
    ("flip", "casts_to", "version", "words"),
    [
        (True, "bfloat16", 2, "mlp.down_proj.base_layer differs in 1 of 4096 bytes"),
        (True, "bfloat16", 1, "mlp.down_proj.base_layer differs in 1 of 4096 bytes"),
        (False, "float32", 2, "self_attn.q_proj.base_layer has 4096 bytes instead of 2048"),
        (False, "float16", 2, "self_attn.q_proj.base_layer differs in"),
    ],
)
def test_changed_bits_are_named_on_every_rank(base_model, tmp_path, flip, casts_to, version, words):
    for ended in run_ranks(load_checked, 2, tmp_path, base_model, flip, casts_to, version):
        assert ended.reason == "QuantizationSelfCheck"
        assert words in ended.message


def test_a_run_that_passes_says_so(make_config, tmp_path):
    config = make_config(quantization={"scheme": "nf4"}, training={"maxSteps": 1})
    assert run_ranks(train_rank, 2, tmp_path / "run", config)[0].value["reason"] == ""
    log = (tmp_path / "run" / "output-0.log").read_text()
    assert "self-check: 7 packed weights of a layer gathered bit for bit, outputs equal" in log
