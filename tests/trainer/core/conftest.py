"""A tiny Llama with its tokenizer, and jobs on it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from dev.demo.tokenizer import train_tokenizer
from peft_fsdp_api.job import parse_job
from peft_fsdp_api.trainer_config import TrainerConfig, TrainerPaths, trainer_config
from tests.bench.attempts import Attempt, Job
from tests.bench.rank_forks import fork_server
from tests.trainer.core.gang import start_importing

MakeConfig = Callable[..., TrainerConfig]
Run = Callable[..., Attempt]
SUBJECTS = ("lamp", "river", "clock", "garden", "engine", "letter", "bridge", "winter")


def pytest_collection_finish(session: pytest.Session) -> None:
    if any(Path(__file__).parent in item.path.parents for item in session.items):
        start_importing()


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 training and 8 test documents of different lengths."""
    return write_documents(tmp_path_factory.mktemp("dataset"))


def write_documents(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for split, count in (("train", 48), ("test", 8)):
        rows = [{"text": _text(number)} for number in range(count)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    """A random Llama: grouped-query attention, bf16, sharded safetensors with an index."""
    return make_base_model(tmp_path_factory.mktemp("base") / "model")


def make_base_model(folder: Path, dtype: torch.dtype = torch.bfloat16, **changes: Any) -> Path:
    tokenizer = train_tokenizer([_text(number) for number in range(64)])
    torch.manual_seed(1)
    config = LlamaConfig(
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            **changes,
        }
    )
    LlamaForCausalLM(config).to(dtype).save_pretrained(folder, max_shard_size="64KB")
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def make_config(tmp_path: Path, base_model: Path, dataset: Path) -> MakeConfig:
    """make_config(uid, folder, lora={...}, training={...}, …) gives the config of a job that writes below tmp_path."""

    def make(uid: str = "uid-1", folder: str = "tiny", **sections: Any) -> TrainerConfig:
        spec: dict[str, Any] = {
            "model": {"source": str(base_model)},
            "dataset": {"source": str(dataset), "maxLength": 64},
            "lora": {"rank": 4, "alpha": 8, "dropout": 0.0},
            "training": {"maxSteps": 4, "batchSize": 2, "learningRate": 5e-3, "loggingSteps": 1},
            "checkpoint": {"every": {"steps": 1000}},
            "output": {"claim": "models"},
            "workers": {"gpusPerNode": 0},
        }
        for section, values in sections.items():
            spec[section] = {**spec.get(section, {}), **values}
        metadata = {"name": "tiny", "uid": uid}
        job = parse_job({"apiVersion": "training.peft-fsdp.io/v1alpha1", "kind": "PeftFsdpJob", "metadata": metadata,
                         "spec": spec})  # fmt: skip
        volume = tmp_path / "volume"
        paths = TrainerPaths(
            output=str(volume / folder), volume=str(volume), cache=str(tmp_path / "cache"), scratch=str(tmp_path / "s")
        )
        return trainer_config(job, paths)

    return make


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Model and data of the jobs of `tests.bench.tiny_job`, and a server that starts their ranks."""
    from tests.bench.tiny_job import make_tiny_jobs

    folder = tmp_path_factory.mktemp("inputs")
    with fork_server(folder / "forks.socket"):
        make_tiny_jobs(folder)
        yield folder


@pytest.fixture
def attempts() -> Iterator[list[Attempt]]:
    """Attempts that end with the test."""
    started: list[Attempt] = []
    yield started
    for attempt in started:
        attempt.process.kill()
        attempt.process.wait()


@pytest.fixture
def run(inputs: Path, attempts: list[Attempt]) -> Run:
    """run(job, **options) starts an attempt on one node, which ends with the test."""

    def start(job: Job, **options: Any) -> Attempt:
        attempts.append(job.start(**options))
        return attempts[-1]

    return start


def _text(number: int) -> str:
    subject = SUBJECTS[number % len(SUBJECTS)]
    middle = " ".join(
        f"then the {SUBJECTS[(number + step) % 8]} number {number * step}" for step in range(number % 5 + 1)
    )
    return f"The {subject} of house {number} is old, {middle} and so the day ends by the {subject}."
