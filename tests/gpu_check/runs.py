"""One kind of fine-tuning, by this trainer and by the guide's script, on the same input. Called by `__main__`."""

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from peft_fsdp_api.manifest import load_documents
from peft_fsdp_trainer.convert.conversion import convert
from peft_fsdp_trainer.convert.manifest_text import manifest_text
from peft_fsdp_trainer.convert.options import Options
from tests.gpu_check.hardware import Hardware, gpu_memory_gauge
from tests.gpu_check.result import RunResult, of_baseline, of_ours
from tests.gpu_check.sizes import Size
from tests.gpu_check.watch import watch
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
CLAIM = "results"


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


def measure(check: Check, kind: str) -> tuple[RunResult, RunResult]:
    """The result of this trainer and that of the baseline."""
    _write_inputs(check)
    flags, file = guide_flags(check, kind), accelerate_file(check, kind)
    gauge = gpu_memory_gauge(check.hardware.gpus)
    job = check.folder / f"{kind}.yaml"
    conversion = convert(flags, file.read_text(), Options(name=kind.lower(), claim=CLAIM))
    job.write_text(manifest_text(conversion, file.name))
    ours = watch(
        [sys.executable, "-m", "peft_fsdp_trainer", "run", str(job), "--claims", str(check.folder / "claims")],
        check.environment,
        gauge,
    )
    result = check.folder / f"{kind}-baseline.json"
    baseline = watch([*_launcher(check, file), str(result), *flags], check.environment, gauge)
    return of_ours(ours, check.steps), of_baseline(baseline, result, check.steps)


def guide_flags(check: Check, kind: str) -> list[str]:
    """The guide's flags with the model, the data and the length of this check."""
    changes = {
        "--model_name_or_path": str(check.folder / "model"),
        "--dataset_name": str(check.folder / "data"),
        "--splits": "train",
        "--output_dir": f"guide-{kind.lower()}",
        "--max_steps": str(check.steps),
        "--logging_steps": "1",
        **(check.size.flags or {}),
    }
    words = _as_mapping(GUIDE[kind][0]) | changes
    return [word for flag, value in words.items() if flag not in LEFT_OUT for word in (flag, value)]


def accelerate_file(check: Check, kind: str) -> Path:
    """The guide's Accelerate file for the processes of this machine."""
    (keys,) = load_documents(GUIDE[kind][1].read_text())
    keys["num_processes"] = check.hardware.processes
    if not check.hardware.gpus:
        keys["use_cpu"] = True
        keys["fsdp_config"]["fsdp_offload_params"] = False
    file = check.folder / f"{kind}-accelerate.yaml"
    file.write_text(yaml.safe_dump(keys))
    return file


def tokens_needed(check: Check) -> int:
    """Tokens of all steps of the run with the larger batch, and some more so that no epoch ends in between."""
    needed = []
    for kind in KINDS:
        words = _as_mapping(guide_flags(check, kind))
        row, batch, accumulation = (
            int(words[flag])
            for flag in ("--max_seq_len", "--per_device_train_batch_size", "--gradient_accumulation_steps")
        )
        needed.append(row * batch * accumulation * check.hardware.processes * check.steps)
    return int(max(needed) * 1.25)


def _write_inputs(check: Check) -> None:
    if (check.folder / "model").exists():
        return
    device = "cuda" if check.hardware.gpus else "cpu"
    row = _as_mapping(guide_flags(check, KINDS[0]))["--max_seq_len"]
    arguments = [check.size.name, device, str(tokens_needed(check)), row, str(check.folder)]
    subprocess.run([sys.executable, "-m", "tests.gpu_check.inputs", *arguments], env=check.environment, check=True)


def _launcher(check: Check, file: Path) -> list[str]:
    """As in the guide; one CPU process needs no launcher."""
    module = ["-m", "tests.gpu_check.baseline"]
    if not check.hardware.gpus:
        return [sys.executable, *module]
    return [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(file), *module]


def _as_mapping(flags: list[str]) -> dict[str, str]:
    """Flag -> value; a flag that stands alone is True."""
    words: dict[str, str] = {}
    for index, word in enumerate(flags):
        if word.startswith("--"):
            following = flags[index + 1] if index + 1 < len(flags) else "--"
            words[word] = "True" if following.startswith("--") else following
    return words
