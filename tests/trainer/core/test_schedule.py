"""How many steps a run has, from the start and after a resume on another number of ranks."""

import math
from itertools import product

import pytest

from peft_fsdp_api.spec import TrainingSpec
from peft_fsdp_trainer.schedule import Position, StepPlan

ROWS = 101
SHAPES = [(1, 1), (2, 1), (4, 1), (3, 2), (8, 4), (200, 1)]
"""Rows of all ranks in a batch, and batches of a step."""
CHANGES = list(product(SHAPES, SHAPES))


def steps(plan, position, count):
    """Train `count` steps as the feed does: the last one of an epoch holds what is left of it."""
    for _ in range(count):
        batches = math.ceil((plan.rows - position.row) / plan.rows_per_batch)
        plan.advance(position, min(plan.accumulation, batches))


def resumed(before, done, after):
    """A run that stopped after `done` steps in the shape `before`, and the plan by which it goes on."""
    position = Position()
    steps(StepPlan(ROWS, *before), position, done)
    return position, StepPlan(ROWS, *after)


@pytest.mark.parametrize(("before", "after"), CHANGES, ids=str)
def test_whole_epochs_end_with_their_last_row_on_any_number_of_ranks(before, after):
    epochs = 3
    for done in range(epochs * StepPlan(ROWS, *before).steps_per_epoch + 1):
        position, plan = resumed(before, done, after)
        total = plan.total_steps(TrainingSpec(epochs=epochs), position)
        steps(plan, position, total - done)
        assert (position.step, position.epoch, position.row) == (total, epochs, 0), f"after {done} steps"


@pytest.mark.parametrize("epochs", [0.1, 0.5, 1, 1.1, 2.75])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_resume_on_the_same_ranks_changes_no_number_of_steps(shape, epochs):
    plan = StepPlan(ROWS, *shape)
    expected = math.ceil(round(epochs * plan.steps_per_epoch, 6))
    totals = {plan.total_steps(TrainingSpec(epochs=epochs), resumed(shape, done, shape)[0]) for done in range(expected)}
    assert totals == {expected}


@pytest.mark.parametrize(("before", "after"), CHANGES, ids=str)
def test_a_part_of_an_epoch_is_never_more_than_the_epoch(before, after):
    for done in range(math.ceil(0.9 * StepPlan(ROWS, *before).steps_per_epoch)):
        position, plan = resumed(before, done, after)
        steps(plan, position, plan.total_steps(TrainingSpec(epochs=0.9), position) - done)
        assert (position.epoch, position.row) <= (1, 0)


def test_a_number_of_steps_is_one_on_any_number_of_ranks():
    position, plan = resumed((2, 1), 10, (4, 1))
    assert plan.total_steps(TrainingSpec(max_steps=30), position) == 30
