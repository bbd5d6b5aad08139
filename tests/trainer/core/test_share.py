"""A tensor that the ranks read in shares comes out whole on every rank."""

import torch

from tests.trainer.core.gang import run_ranks


def gathered_equals(lengths: list[int]) -> list[bool]:
    from peft_fsdp_trainer.distributed import join_ranks
    from peft_fsdp_trainer.share import gathered

    ranks = join_ranks("cpu")
    found = []
    for length in lengths:
        stored = torch.arange(length, dtype=torch.float32).view(-1, 1)
        # Other shares are unreadable here: what they hold must come from their ranks.
        size = -(-length // ranks.world_size)
        mine = torch.full_like(stored, torch.nan)
        mine[ranks.rank * size : (ranks.rank + 1) * size] = stored[ranks.rank * size : (ranks.rank + 1) * size]
        found.append(gathered(mine, torch.bfloat16, ranks.device).equal(stored.bfloat16()))
    return found


def test_shares_of_even_uneven_and_tiny_tensors_make_the_whole(tmp_path):
    for ending in run_ranks(gathered_equals, 3, tmp_path, [9, 10, 2, 1]):
        assert ending.value == [True, True, True, True]
