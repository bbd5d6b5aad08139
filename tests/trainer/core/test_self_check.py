"""Packed weights that come out of sharding changed end the run with a reason of their own, on every rank."""

import pytest
import torch
from torch.distributed.tensor import DTensor

from peft_fsdp_api.spec import FsdpSpec, LoraSpec, ModelSpec, QuantizationSpec
from peft_fsdp_trainer.loading import Loader
from peft_fsdp_trainer.model import build_skeleton, read_model_config
from peft_fsdp_trainer.weights import find_weights
from tests.trainer.core.gang import run_ranks, train_rank
from tests.trainer.core.test_loading import loaded


def load_checked(folder, version: int) -> str:
    """Load with the check; rank 1 flips a bit of its shard."""
    from peft_fsdp_trainer.distributed import join_ranks
    from peft_fsdp_trainer.precision import Precision
    from peft_fsdp_trainer.self_check import SelfCheck
    from peft_fsdp_trainer.sharding import plan_sharding

    ranks = join_ranks("cpu")
    plan = plan_sharding(FsdpSpec(version=version), Precision(torch.bfloat16), ranks, compile_layers=False)

    def shard_layer(layer):
        sharded = plan.shard_layer(layer)
        if ranks.rank == 1:
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


@pytest.mark.parametrize("version", [1, 2])
def test_changed_bits_are_named_on_every_rank(base_model, tmp_path, version):
    for ended in run_ranks(load_checked, 2, tmp_path, base_model, version):
        assert ended.reason == "QuantizationSelfCheck"
        assert "mlp.down_proj.base_layer differs in 1 of 4096 bytes" in ended.message


def gathered_types(folder) -> list[str]:
    """In what type torch moves the weights of a layer of which some are packed and some are cast to bfloat16."""
    from torch.distributed.fsdp._fully_shard import _fsdp_collectives as collectives

    from peft_fsdp_trainer.distributed import join_ranks
    from peft_fsdp_trainer.precision import Precision
    from peft_fsdp_trainer.sharding import plan_sharding

    plan = plan_sharding(FsdpSpec(), Precision(torch.bfloat16), join_ranks("cpu"), compile_layers=False)
    layer = loaded(folder, QuantizationSpec(scheme="nf4"), shard=plan.shard_layer).peft.get_decoder().layers[0]
    looked, moved = collectives._get_all_gather_input_metadatas, []

    def look(inputs):
        found = looked(inputs)
        moved.append(str(found[2]))
        return found

    collectives._get_all_gather_input_metadatas = look
    with plan.gathered(layer):
        return moved


def test_packed_weights_move_as_bytes(base_model, tmp_path):
    """Not as bfloat16: GPUs copy numbers by way of float32, which leaves one NaN of many."""
    for ended in run_ranks(gathered_types, 2, tmp_path, base_model):
        assert ended.value == ["torch.uint8"]


def test_a_run_that_passes_says_so(make_config, tmp_path):
    config = make_config(quantization={"scheme": "nf4"}, training={"maxSteps": 1})
    assert run_ranks(train_rank, 2, tmp_path / "run", config)[0].value["reason"] == ""
    log = (tmp_path / "run" / "output-0.log").read_text()
    assert "self-check: 7 packed weights of a layer gathered bit for bit, outputs equal" in log
