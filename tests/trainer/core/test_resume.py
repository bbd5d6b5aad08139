"""A run that is stopped goes on where it was, on the same and on another number of ranks."""

import json
import os
import shutil

import pytest

from tests.trainer.core.gang import run_ranks, train_rank

ACCUMULATION = 4
TRAINING = {"maxSteps": 8, "batchSize": 2, "precision": "float32"}


def _run(config, world_size, folder, *arguments):
    return [ending.value for ending in run_ranks(train_rank, world_size, folder, config, *arguments)]


@pytest.mark.slow
def test_a_preempted_run_ends_with_the_losses_of_an_uninterrupted_one(make_config, tmp_path):
    config = make_config(training=TRAINING, dataset={"packing": False})
    whole = _run(config, 2, tmp_path / "whole")[0]["losses"]
    shutil.rmtree(config.paths.output)
    stopped = _run(config, 2, tmp_path / "stopped", 3, 1)
    assert [(rank["reason"], rank["step"]) for rank in stopped] == [("Preempted", 3)] * 2
    resumed = _run(config, 2, tmp_path / "resumed")[0]["losses"]
    assert stopped[0]["losses"] + resumed == pytest.approx(whole, abs=1e-5)


def rank_asked_within_step(config, step, batches):
    """A run in which rank 1 is asked to stop after so many batches of a step."""
    from peft_fsdp_trainer.step import Stepper
    from peft_fsdp_trainer.stop import StopRequest

    done, batch_loss = [], Stepper._loss

    def counted(self, batch):
        done.append(batch)
        return batch_loss(self, batch)

    Stepper._loss = counted
    if os.environ["RANK"] == "1":
        StopRequest.requested = property(lambda _: len(done) >= (step - 1) * ACCUMULATION + batches)
    return {**train_rank(config), "batches": len(done)}


@pytest.mark.slow
def test_a_stop_within_a_step_does_not_wait_for_its_end_and_is_as_if_it_had_not_begun(make_config, tmp_path):
    training = TRAINING | {"maxSteps": 4, "batchSize": 1, "gradientAccumulation": ACCUMULATION}
    config = make_config(training=training, dataset={"packing": False}, lora={"dropout": 0.1})
    whole = _run(config, 2, tmp_path / "whole")[0]["losses"]
    shutil.rmtree(config.paths.output)
    endings = run_ranks(rank_asked_within_step, 2, tmp_path / "stopped", config, 3, 2)
    stopped = [ending.value for ending in endings]
    assert [(rank["reason"], rank["step"], rank["batches"]) for rank in stopped] == [("Preempted", 2, 10)] * 2
    resumed = _run(config, 2, tmp_path / "resumed")[0]["losses"]
    assert stopped[0]["losses"] + resumed == pytest.approx(whole, abs=1e-5)


@pytest.mark.slow
def test_a_run_resumes_on_another_number_of_ranks(make_config, tmp_path):
    config = make_config(training=TRAINING)
    whole = _run(config, 2, tmp_path / "whole")[0]["losses"]
    shutil.rmtree(config.paths.output)
    _run(config, 2, tmp_path / "stopped", 3)
    alone = config.model_copy(update={"training": config.training.model_copy(update={"batch_size": 4})})
    resumed = _run(alone, 1, tmp_path / "resumed")[0]["losses"]
    assert resumed == pytest.approx(whole[3:], abs=1e-5)


def test_only_the_newest_committed_checkpoints_are_kept_and_used(make_config, tmp_path):
    config = make_config(training={"maxSteps": 5}, checkpoint={"every": {"steps": 1}, "keep": 2})
    _run(config, 1, tmp_path / "first")
    checkpoints = tmp_path / "volume" / "tiny" / "checkpoints"
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step-00000004", "step-00000005"]
    (checkpoints / "step-00000005" / "committed.json").unlink()
    shutil.rmtree(tmp_path / "volume" / "tiny" / "adapter")
    again = _run(config, 1, tmp_path / "again")[0]["losses"]
    assert len(again) == 1
    assert json.loads((checkpoints / "step-00000005" / "committed.json").read_text())["position"]["step"] == 5
