"""The figures of a run: what they count, what they leave out, and that a real run reports every one of them."""

import json
import math
from pathlib import Path

import pytest
import torch

from peft_fsdp_trainer.figures import Figures
from peft_fsdp_trainer.schedule import Position
from tests.trainer.core.gang import run_ranks, train_rank


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def step(figures, clock, seconds, loss=6.0, loss_tokens=3, tokens=10):
    clock.now += seconds
    figures.add(torch.tensor(loss), loss_tokens, tokens, 1e-3, 0.5)


def test_pace_and_loss_are_those_since_the_last_line(clock):
    figures = Figures(10, Position(), clock)
    step(figures, clock, 100)
    figures.close_window(6.0)
    step(figures, clock, 1)
    step(figures, clock, 1)
    figures.close_window(9.0)
    assert (figures.tokens_per_second, figures.loss, figures.tokens) == (10.0, 1.5, 30)


def test_an_evaluation_does_not_slow_the_training_down(clock):
    figures = Figures(10, Position(), clock)
    step(figures, clock, 1)
    with figures.paused():
        clock.now += 1000
    step(figures, clock, 1)
    figures.close_window(1.0)
    assert figures.tokens_per_second == 10.0


def test_what_remains_after_a_resume_is_told_by_the_steps_of_this_attempt(clock):
    figures = Figures(100, Position(step=90), clock)
    assert figures.remaining_seconds(Position(step=90)) is None
    step(figures, clock, 3)
    assert figures.remaining_seconds(Position(step=91)) == 27.0
    assert figures.remaining_seconds(Position(step=100)) == 0.0


def reports(config):
    files = (Path(config.paths.scratch) / f"rank-{rank}.json" for rank in range(2))
    return [json.loads(file.read_text()) for file in files]


@pytest.mark.slow
def test_a_real_run_reports_every_figure_before_and_after_a_resume(make_config, tmp_path):
    """48 rows, 4 at a time: a third of an epoch in 4 steps. The rate is that of a line from 5e-3 to 0."""
    training = {"maxSteps": 6, "scheduler": "linear"}
    config = make_config(dataset={"packing": False, "evalSplit": "test"}, training=training)
    run_ranks(train_rank, 2, tmp_path / "first", config, 4)
    first, second = reports(config)
    figures = first["training"]
    assert (figures["step"], figures["totalSteps"], figures["epoch"]) == (4, 6, round(4 * 4 / 48, 4))
    assert figures["learningRate"] == pytest.approx(5e-3 * (1 - 3 / 6))
    assert all(math.isfinite(figures[name]) and figures[name] > 0 for name in
               ("loss", "gradNorm", "tokensPerSecond", "remainingSeconds"))  # fmt: skip
    assert "evalLoss" not in figures
    assert first["checkpoint"]["step"] == 4
    assert "training" not in second
    for report in (first, second):
        assert 0 < report["progress"]["memoryBytes"] <= report["progress"]["memoryPeakBytes"]
        assert report["progress"]["heartbeat"]
    assert [report["progress"]["rank"] for report in (first, second)] == [0, 1]

    run_ranks(train_rank, 2, tmp_path / "second", config)
    figures = reports(config)[0]["training"]
    assert (figures["step"], figures["totalSteps"], figures["remainingSeconds"]) == (6, 6, 0.0)
    assert figures["evalLoss"] > 0
