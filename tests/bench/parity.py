"""The loss of sharded training against unsharded training of the demo's model, step by step."""

import tempfile
from pathlib import Path
from typing import Any

from dev.demo.inputs import write_inputs
from peft_fsdp_api.job import parse_job
from peft_fsdp_api.trainer_config import TrainerConfig, TrainerPaths, trainer_config
from tests.bench.report import Figure
from tests.trainer.core.gang import run_ranks, train_rank

STEPS = 20
GLOBAL_BATCH = 4
BAR = 1e-3
SETTINGS: dict[str, dict[str, Any]] = {
    "LoRA": {},
    "QLoRA": {"quantization": {"scheme": "nf4", "doubleQuant": True}},
}


def measure() -> list[Figure]:
    """The largest relative difference of the loss over 20 steps, 2 ranks against 1, LoRA and QLoRA."""
    figures = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = write_inputs(folder / "claims")
        for name, sections in SETTINGS.items():
            whole, sharded = (_losses(data, folder / f"{name}-{ranks}", ranks, sections) for ranks in (1, 2))
            difference = max(abs(a - b) / abs(a) for a, b in zip(whole, sharded, strict=True))
            figures.append(Figure(f"{name}, {STEPS} steps: loss on 2 ranks against 1, relative", difference, "", BAR))
    return figures


def _losses(data: Path, folder: Path, ranks: int, sections: dict[str, Any]) -> list[float]:
    training = {"maxSteps": STEPS, "batchSize": GLOBAL_BATCH // ranks, "learningRate": 2e-3, "loggingSteps": 1}
    config = demo_config(data, folder, {"training": training, **sections})
    losses: list[float] = run_ranks(train_rank, ranks, folder, config)[0].value["losses"]
    if len(losses) != STEPS:
        raise RuntimeError(f"{ranks} ranks reported {len(losses)} of {STEPS} losses")
    return losses


def demo_config(data: Path, folder: Path, sections: dict[str, Any]) -> TrainerConfig:
    """The config of a job on the demo's model and data with more sections of a spec."""
    spec = {
        "model": {"source": str(data / "base-model")},
        "dataset": {"source": str(data / "data"), "chatTemplate": "chatml", "maxLength": 128},
        "lora": {"rank": 8, "alpha": 16, "dropout": 0.0},
        "output": {"claim": "bench"},
        "workers": {"gpusPerNode": 0},
        **sections,
    }
    raw = {"apiVersion": "training.peft-fsdp.io/v1alpha1", "kind": "PeftFsdpJob", "metadata": {"name": "bench"}}
    paths = TrainerPaths(
        output=str(folder / "output"), volume=str(folder), cache=str(folder / "cache"), scratch=str(folder / "scratch")
    )
    return trainer_config(parse_job({**raw, "spec": spec}), paths)
