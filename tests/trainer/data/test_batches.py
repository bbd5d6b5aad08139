"""Which rows a rank sees, and that every row is seen once."""

import pytest

from peft_fsdp_trainer.data import Batches


@pytest.fixture
def rows(prepared, write_rows):
    """Eleven rows that can be told apart by their length."""
    return prepared(write_rows(*({"text": "a b " * count} for count in range(1, 12))), packing=False).train


def seen(batches):
    """Lengths of the rows with a loss, per batch."""
    return [sorted(int((row != -100).sum()) for row in batch.inputs["labels"]) for batch in batches]


def epoch(rows, world_size, batch_size, **options):
    """What all ranks see together, batch by batch."""
    ranks = [
        seen(Batches(rows, batch_size=batch_size, rank=rank, world_size=world_size, **options))
        for rank in range(world_size)
    ]
    return [sorted(length for part in parts for length in part) for parts in zip(*ranks, strict=True)]


@pytest.mark.parametrize(("world_size", "batch_size"), [(1, 1), (1, 4), (2, 2), (4, 1), (3, 5), (16, 2)])
def test_every_row_is_seen_once_and_all_ranks_make_the_same_number_of_steps(rows, world_size, batch_size):
    lengths = [length for batch in epoch(rows, world_size, batch_size, seed=1) for length in batch]
    once = [length for length in lengths if length]
    assert sorted(once) == sorted(length for (length,) in seen(Batches(rows, batch_size=1)))


@pytest.mark.parametrize(("world_size", "batch_size"), [(1, 4), (2, 2), (4, 1)])
def test_a_global_batch_holds_the_same_rows_on_any_number_of_ranks(rows, world_size, batch_size):
    assert epoch(rows, world_size, batch_size, seed=3) == epoch(rows, 1, 4, seed=3)


def test_resuming_on_another_number_of_ranks_continues_where_it_stopped(rows):
    whole = epoch(rows, 2, 2, seed=5)
    assert epoch(rows, 1, 4, seed=5, start_row=4) == whole[1:]


def test_seed_and_epoch_change_the_order(rows):
    orders = [seen(Batches(rows, batch_size=1, seed=seed, epoch=number)) for seed in (0, 1) for number in (0, 1)]
    assert len({str(order) for order in orders}) == 4


def test_without_shuffling_the_order_is_that_of_the_file(rows):
    lengths = [length for (length,) in seen(Batches(rows, batch_size=1, shuffle=False))]
    assert lengths == sorted(lengths)


def test_len_counts_the_batches_that_are_left(rows):
    assert [len(Batches(rows, batch_size=4, start_row=start)) for start in (0, 4, 8, 11)] == [3, 2, 1, 0]


def test_filler_rows_are_not_counted(rows):
    last = list(Batches(rows, batch_size=8, shuffle=False))[-1]
    assert last.inputs["input_ids"].shape[0] == 8
    assert last.loss_tokens == int((last.inputs["labels"] != -100).sum())
    assert last.tokens == sum(len(rows[number][0].tokens) for number in (8, 9, 10))
