"""The guide's flags and its Accelerate file, with the model, the data and the machine of a check."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from peft_fsdp_api.manifest import load_documents
from tests.gpu_check.hardware import Hardware
from tests.gpu_check.sizes import Size
from tests.trainer.convert.runs import LORA_FILE, LORA_FLAGS, QLORA_FILE, QLORA_FLAGS

ROOT = Path(__file__).parents[2]
GUIDE = {"LoRA": (LORA_FLAGS, LORA_FILE), "QLoRA": (QLORA_FLAGS, QLORA_FILE)}
KINDS = tuple(GUIDE)
# What is left out of the guide's runs: they are timed without evaluation, checkpoints and the Hub.
LEFT_OUT = (
    "--push_to_hub",
    "--hub_private_repo",
    "--hub_strategy",
    "--evaluation_strategy",
    "--per_device_eval_batch_size",
    "--save_strategy",
    "--num_train_epochs",
)


@dataclass(frozen=True)
class Check:
    """Where, on what and how long."""

    folder: Path
    hardware: Hardware
    size: Size
    steps: int

    @cached_property
    def environment(self) -> dict[str, str]:
        """Offline, with caches of its own, and this checkout first."""
        home = {"HF_HOME": str(self.folder / "huggingface"), "XDG_CACHE_HOME": str(self.folder / "cache")}
        return {**os.environ, **home, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def guide_flags(check: Check, kind: str, amended: Mapping[str, str] | None = None) -> list[str]:
    """The guide's flags with the model, the data and the length of this check."""
    changes = {
        "--model_name_or_path": str(check.folder / "model"),
        "--dataset_name": str(check.folder / "data"),
        "--splits": "train",
        "--output_dir": f"guide-{kind.lower()}",
        "--max_steps": str(check.steps),
        "--logging_steps": "1",
        **(check.size.flags or {}),
        **(amended or {}),
    }
    words = as_mapping(GUIDE[kind][0]) | changes
    return [word for flag, value in words.items() if flag not in LEFT_OUT for word in (flag, value)]


def accelerate_file(check: Check, kind: str, amended: Mapping[str, Any] | None = None) -> Path:
    """The guide's Accelerate file for the processes of this machine."""
    (keys,) = load_documents(GUIDE[kind][1].read_text())
    keys["num_processes"] = check.hardware.processes
    if not check.hardware.gpus:
        keys["use_cpu"] = True
        keys["fsdp_config"]["fsdp_offload_params"] = False
    keys["fsdp_config"].update(amended or {})
    file = check.folder / f"{kind}-accelerate.yaml"
    file.write_text(yaml.safe_dump(keys))
    return file


def tokens_needed(check: Check) -> int:
    """Tokens of all steps of the run with the larger batch, and some more so that no epoch ends in between."""
    needed = []
    for kind in KINDS:
        words = as_mapping(guide_flags(check, kind))
        row, batch, accumulation = (
            int(words[flag])
            for flag in ("--max_seq_len", "--per_device_train_batch_size", "--gradient_accumulation_steps")
        )
        needed.append(row * batch * accumulation * check.hardware.processes * check.steps)
    return int(max(needed) * 1.25)


def as_mapping(flags: list[str]) -> dict[str, str]:
    """Flag -> value; a flag that stands alone is True."""
    words: dict[str, str] = {}
    for index, word in enumerate(flags):
        if word.startswith("--"):
            following = flags[index + 1] if index + 1 < len(flags) else "--"
            words[word] = "True" if following.startswith("--") else following
    return words
