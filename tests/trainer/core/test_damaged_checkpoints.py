"""A checkpoint that is not whole is never resumed from: the run says so and takes the one before."""

import os
import shutil
from pathlib import Path

import pytest

from tests.trainer.core.gang import run_ranks, train_rank

STEPS = 4


@pytest.fixture
def interrupted(make_config, tmp_path):
    """A run with checkpoints of steps 2, 3 and 4, as if it had been killed before the adapter was exported."""
    config = make_config(training={"maxSteps": STEPS}, checkpoint={"every": {"steps": 1}, "keep": 3})
    run_ranks(train_rank, 1, tmp_path / "first", config)
    output = Path(config.paths.output)
    shutil.rmtree(output / "adapter")
    return config, output / "checkpoints"


def _again(config, folder, world_size=1):
    """The end of the next attempt, and what it said."""
    ended = run_ranks(train_rank, world_size, folder, config)[0].value
    return ended, (folder / "output-0.log").read_text()


def _truncate(folder):
    os.truncate(folder / "adapter" / "adapter_model.safetensors", 10)


def _delete(folder):
    (folder / "random-0.pt").unlink()


def _scramble(folder):
    file = folder / "state" / ".metadata"
    file.write_bytes(b"x" * file.stat().st_size)


def _uncommit(folder):
    (folder / "committed.json").unlink()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_truncate, "step-00000004 is damaged and will not be used: adapter/adapter_model.safetensors has 10 bytes"),
        (_delete, "step-00000004 is damaged and will not be used: random-0.pt is missing"),
        (_scramble, "step-00000004 is damaged and will not be used: "),
        (_uncommit, "removing tiny/checkpoints/step-00000004: it was never completed"),
    ],
)
def test_the_checkpoint_before_is_used(interrupted, tmp_path, damage, words):
    config, checkpoints = interrupted
    damage(checkpoints / "step-00000004")
    ended, said = _again(config, tmp_path / "again")
    assert len(ended["losses"]) == 1
    assert words in said
    assert "resumed from tiny/checkpoints/step-00000003" in said


@pytest.mark.slow
def test_two_ranks_agree_on_the_checkpoint_before(interrupted, tmp_path):
    config, checkpoints = interrupted
    _scramble(checkpoints / "step-00000004")
    assert len(_again(config, tmp_path / "again", world_size=2)[0]["losses"]) == 1


def test_a_run_whose_checkpoints_are_all_damaged_does_not_begin_anew(interrupted, tmp_path):
    config, checkpoints = interrupted
    for folder in checkpoints.iterdir():
        _truncate(folder)
    for attempt in ("second", "third"):
        ended, _ = _again(config, tmp_path / attempt)
        assert ended["losses"] == []
        assert "step-00000004 is damaged" in ended["message"]
