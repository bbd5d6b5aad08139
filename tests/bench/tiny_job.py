"""A job that trains in seconds: a random Llama of two layers on short texts, packed, with dropout."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import AutoModelForCausalLM

from peft_fsdp_api.job import parse_job
from peft_fsdp_api.trainer_config import TrainerPaths, trainer_config
from tests.bench.attempts import RANKS, Job
from tests.bench.kills import EVERY, KEEP, STEPS
from tests.trainer.core.conftest import make_base_model, write_documents


def make_tiny_jobs(folder: Path) -> tuple[Callable[[Path], Job], Callable[[Path], None]]:
    """What makes a job in a folder, and what loads an adapter on its base as a user does."""
    base = make_base_model(folder / "base-model")
    write_documents(folder / "data")
    model = AutoModelForCausalLM.from_pretrained(base)

    def load_adapter(path: Path) -> None:
        loaded = PeftModel.from_pretrained(model, str(path))
        assert any("lora_A" in name for name, _ in loaded.named_parameters())
        loaded.unload()

    return lambda place: make_tiny_job(place, folder), load_adapter


def make_tiny_job(place: Path, inputs: Path, **sections: dict[str, Any]) -> Job:
    """A job with its output, cache and attempts in `place`; the sections change its spec."""
    place.mkdir(exist_ok=True)
    spec: dict[str, Any] = {
        "model": {"source": str(inputs / "base-model")},
        "dataset": {"source": str(inputs / "data"), "maxLength": 64, "packing": True},
        "lora": {"rank": 4, "alpha": 8, "dropout": 0.1},
        "training": {"maxSteps": STEPS, "batchSize": 1, "learningRate": 5e-3, "loggingSteps": 1},
        "checkpoint": {"every": {"steps": EVERY}, "keep": KEEP},
        "output": {"claim": "models"},
        "workers": {"gpusPerNode": 0, "processesPerNode": RANKS},
    }
    for section, values in sections.items():
        spec[section] = {**spec.get(section, {}), **values}
    metadata = {"name": "tiny", "uid": "kills"}
    job = parse_job({"apiVersion": "training.peft-fsdp.io/v1alpha1", "kind": "PeftFsdpJob", "metadata": metadata,
                     "spec": spec})  # fmt: skip
    paths = TrainerPaths(
        output=str(place / "tiny"), volume=str(place), cache=str(place / "cache"), scratch=str(place / "scratch")
    )
    config = place / "config.json"
    config.write_text(trainer_config(job, paths).model_dump_json(by_alias=True, exclude_none=True))
    return Job(place, config, place / "tiny" / "checkpoints")
