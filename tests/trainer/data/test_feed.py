"""Batches are made a step ahead, and nobody can tell but by the clock: the position counts what was trained on."""

import contextlib
import threading
from dataclasses import dataclass, replace
from itertools import islice

import pytest

from peft_fsdp_api.spec import TrainingSpec
from peft_fsdp_trainer.data import Rows
from peft_fsdp_trainer.errors import DatasetInvalid
from peft_fsdp_trainer.feed import PreparedFeed
from peft_fsdp_trainer.schedule import Position

SPEC = TrainingSpec(batch_size=2, gradient_accumulation=2, epochs=3, seed=7)


@dataclass(frozen=True)
class OneRank:
    """The ranks of a run without the process group behind them."""

    rank: int = 1
    world_size: int = 2


@pytest.fixture
def rows(prepared, write_rows):
    """Eleven rows that can be told apart by their length: three batches of four, two steps per epoch."""
    return prepared(write_rows(*({"text": "a b " * count} for count in range(1, 12))), packing=False).train


def feed_at(rows, position):
    return contextlib.closing(PreparedFeed(rows, position, SPEC, OneRank()))


def train(feed, steps):
    """What the steps are trained on: lengths of the rows, batch by batch."""
    seen = []
    for batches in islice(feed.steps(), steps):
        seen.append([batch.inputs["input_ids"].tolist() for batch in batches])
        feed.advance(len(batches))
    return seen


@pytest.mark.parametrize("done", range(6))
def test_a_resumed_run_goes_on_after_what_was_trained_not_after_what_was_made(rows, done):
    with feed_at(rows, Position()) as feed:
        whole = train(feed, 6)
    position = Position()
    with feed_at(rows, position) as feed:
        train(feed, done)
    assert position.step == done
    with feed_at(rows, position) as feed:
        assert train(feed, 6 - done) == whole[done:]
    assert (position.step, position.epoch, position.row) == (6, 3, 0)


def test_epochs_differ_and_none_is_skipped(rows):
    with feed_at(rows, Position()) as feed:
        steps = train(feed, 6)
    assert [len(batches) for batches in steps] == [2, 1, 2, 1, 2, 1]
    assert steps[:2] != steps[2:4]


@dataclass(frozen=True)
class BrokenRows(Rows):
    """Rows of which one cannot be read."""

    def __getitem__(self, row):
        if row == 3:
            raise DatasetInvalid("data.jsonl line 4: it is missing")
        return super().__getitem__(row)


def test_the_error_of_a_row_reaches_the_loop(rows):
    broken = BrokenRows(**vars(rows))
    with feed_at(broken, Position()) as feed, pytest.raises(DatasetInvalid, match="line 4"):
        train(feed, 4)


def test_the_thread_ends_with_the_run(rows):
    with feed_at(rows, Position()) as feed:
        train(feed, 1)
        assert any(thread.name == "prefetch" for thread in threading.enumerate())
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())


def rows_of_all_ranks(rows, start, world_size, stop_at=100):
    """Rows with a loss, told by their length, until the end of the run or a step; and where that is."""
    seen = []
    for rank in range(world_size):
        position = replace(start)
        with contextlib.closing(PreparedFeed(rows, position, SPEC, OneRank(rank, world_size))) as feed:
            for batches in islice(feed.steps(), min(stop_at, feed.total_steps) - start.step):
                seen += [int(length) for batch in batches for length in (batch.inputs["labels"] != -100).sum(1)]
                feed.advance(len(batches))
    return [length for length in seen if length], position


@pytest.mark.parametrize("done", range(7))
@pytest.mark.parametrize(("before", "after"), [(1, 2), (1, 3), (2, 1), (2, 3), (4, 1)])
def test_on_another_number_of_ranks_no_row_is_seen_twice_or_left_out(rows, before, after, done):
    once, _ = rows_of_all_ranks(rows, Position(), 1, stop_at=3)
    first, position = rows_of_all_ranks(rows, Position(), before, stop_at=done)
    rest, _ = rows_of_all_ranks(rows, position, after)
    assert len(once) == len(rows)
    assert sorted(first + rest) == sorted(once * int(SPEC.epochs))
