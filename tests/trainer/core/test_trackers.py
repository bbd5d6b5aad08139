"""The experiment trackers get the figures: TensorBoard's files, W&B offline, an MLflow store in a folder."""

import os

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.trainer.core.gang import run_ranks, train_rank

pytestmark = pytest.mark.slow


def with_environment(config, environment):
    os.environ.update(environment)
    return train_rank(config)


def _run(make_config, tmp_path, tracker, **environment):
    config = make_config(training={"reportTo": [tracker], "maxSteps": 2}, dataset={"evalSplit": "test"})
    ended = run_ranks(with_environment, 1, tmp_path / "run", config, environment)[0].value
    assert ended["reason"] == "", ended["message"]
    return ended


def test_tensorboard_holds_every_logged_step(make_config, tmp_path):
    losses = _run(make_config, tmp_path, "tensorboard")["losses"]
    events = EventAccumulator(str(tmp_path / "volume" / "tiny" / "tensorboard" / "tiny"))
    events.Reload()
    assert [point.value for point in events.Scalars("loss")] == pytest.approx(losses)
    assert [point.step for point in events.Scalars("eval_loss")] == [2]


def test_wandb_writes_an_offline_run(make_config, tmp_path):
    _run(make_config, tmp_path, "wandb", WANDB_MODE="offline", WANDB_SILENT="true")
    assert len(list((tmp_path / "s" / "wandb").glob("offline-run-*/*.wandb"))) == 1


def test_mlflow_holds_the_losses(make_config, tmp_path):
    store = tmp_path / "mlruns"
    environment = {"MLFLOW_TRACKING_URI": f"file://{store}", "MLFLOW_ALLOW_FILE_STORE": "true"}
    losses = _run(make_config, tmp_path, "mlflow", **environment)["losses"]
    (metric,) = store.glob("*/*/metrics/loss")
    assert [float(line.split()[1]) for line in metric.read_text().splitlines()] == pytest.approx(losses)
