"""The trainer's file: it says everything, and comes back as it was."""

import json
from typing import Any

import pytest

from peft_fsdp_api.job import PeftFsdpJob, parse_job
from peft_fsdp_api.trainer_config import TrainerConfig, pod_paths, trainer_config
from tests.api.cases import Case, merged, minimal_job, valid_cases


def job(change: dict[str, Any] | None = None) -> PeftFsdpJob:
    return parse_job(merged(minimal_job(), {"spec": change or {}}))


def config(change: dict[str, Any] | None = None) -> TrainerConfig:
    return trainer_config(job(change), pod_paths(job(change)))


@pytest.mark.parametrize("case", valid_cases(), ids=lambda case: case.name)
def test_round_trip(case: Case) -> None:
    parsed = parse_job(case.job)
    written = trainer_config(parsed, pod_paths(parsed))
    assert TrainerConfig.model_validate_json(json.dumps(written.to_wire())) == written


def test_one_epoch_is_the_default() -> None:
    assert config().training.epochs == 1
    assert config({"training": {"maxSteps": 5}}).training.epochs is None


def test_a_split_to_evaluate_on_means_evaluation() -> None:
    assert config().evaluation is None
    evaluation = config({"dataset": {"evalSplit": "test"}}).evaluation
    assert evaluation is not None
    assert evaluation.every.epochs == 1


def test_the_device_follows_the_gpus() -> None:
    assert config().device == "cuda"
    assert config({"workers": {"gpusPerNode": 0}}).device == "cpu"


def test_the_output_folder_is_the_jobs_name_by_default() -> None:
    assert config().paths.output == "/output/llama-lora"
    assert config({"output": {"path": "a/b"}}).paths.output == "/output/a/b"


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValueError, match="surprise"):
        TrainerConfig.model_validate_json(json.dumps(config().to_wire() | {"surprise": 1}))
