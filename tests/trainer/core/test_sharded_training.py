"""Training on several ranks is the same training: loss, bytes per rank, accumulation."""

import math

import pytest

from tests.trainer.core.conftest import MakeConfig
from tests.trainer.core.gang import run_ranks, train_rank

NF4 = {"scheme": "nf4"}


def _losses(config, world_size, folder):
    return run_ranks(train_rank, world_size, folder, config)[0].value["losses"]


@pytest.mark.slow
@pytest.mark.parametrize("quantization", [None, NF4, {**NF4, "doubleQuant": False, "storageDtype": "float32"}])
def test_twenty_steps_lose_the_same_on_one_and_on_several_ranks(make_config: MakeConfig, tmp_path, quantization):
    sections = {"quantization": quantization} if quantization else {}
    losses = {}
    for world_size in (1, 2, 4):
        training = {"maxSteps": 20, "batchSize": 4 // world_size}
        config = make_config(f"uid-{world_size}", folder=f"w{world_size}", training=training, **sections)
        losses[world_size] = _losses(config, world_size, tmp_path / str(world_size))
    assert len(losses[1]) == 20
    assert losses[1][-1] < losses[1][0] - 0.2
    assert losses[2] == pytest.approx(losses[1], rel=1e-3)
    assert losses[4] == pytest.approx(losses[1], rel=1e-3)


def test_accumulated_batches_make_the_same_step_as_one_batch(make_config: MakeConfig, tmp_path):
    whole = make_config(training={"batchSize": 4, "precision": "float32"})
    parts = make_config("uid-2", "parts", training={"batchSize": 1, "gradientAccumulation": 4, "precision": "float32"})
    expected = _losses(whole, 1, tmp_path / "whole")
    assert _losses(parts, 1, tmp_path / "parts") == pytest.approx(expected, rel=1e-5)
    assert not any(math.isnan(loss) for loss in expected)
