"""A tensor that the ranks read in shares comes out whole on every rank."""

import pytest
import torch

from tests.trainer.core.gang import run_ranks


def gathered_equals(lengths: list[int]) -> list[bool]:
    from peft_fsdp_trainer.distributed import join_ranks
    from peft_fsdp_trainer.share import gathered

    ranks = join_ranks("cpu")
    found = []
    for length in lengths:
        # None of the numbers is the zero that shares are padded with.
        stored = torch.arange(1, length + 1, dtype=torch.float32).view(-1, 1)
        # Other shares are unreadable here: what they hold must come from their ranks.
        size = -(-length // ranks.world_size)
        mine = torch.full_like(stored, torch.nan)
        mine[ranks.rank * size : (ranks.rank + 1) * size] = stored[ranks.rank * size : (ranks.rank + 1) * size]
        found.append(gathered(mine, torch.bfloat16, ranks.device).equal(stored.bfloat16()))
    return found


def test_shares_of_even_uneven_and_tiny_tensors_make_the_whole(tmp_path):
    for ending in run_ranks(gathered_equals, 3, tmp_path, [9, 10, 2, 1, 0]):
        assert ending.value == [True, True, True, True, True]


def packed_of(blocks: int) -> list[bool]:
    import bitsandbytes as bnb

    from peft_fsdp_api.spec import QuantizationSpec
    from peft_fsdp_trainer.distributed import join_ranks
    from peft_fsdp_trainer.quantize import BLOCK, pack

    ranks = join_ranks("cpu")
    weight = torch.linspace(-1, 1, blocks * BLOCK, dtype=torch.bfloat16).view(blocks, BLOCK)
    ours = pack(weight, torch.bfloat16, QuantizationSpec(scheme="nf4", double_quant=False), ranks.device)
    data, state = bnb.functional.quantize_4bit(weight, quant_type="nf4")
    return [ours.data.view(torch.uint8).flatten().equal(data.flatten()), ours.state.absmax.equal(state.absmax)]


@pytest.mark.parametrize("blocks", [1, 4])
def test_a_weight_is_packed_to_the_bits_of_bitsandbytes_on_every_rank(tmp_path, blocks):
    for ending in run_ranks(packed_of, 3, tmp_path, blocks):
        assert ending.value == [True, True]
