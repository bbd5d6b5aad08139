"""The README.md of an adapter: what it was made from, how, and what came out. Called by `export`."""

from pathlib import Path
from typing import Any, Final

import yaml

from peft_fsdp_api.durations import format_duration
from peft_fsdp_api.trainer_config import TrainerConfig

from .data import SplitFacts
from .model_source import ModelFolder
from .run_facts import RunFacts

FILE: Final = "README.md"
SECTIONS: Final = ("lora", "quantization", "fsdp", "training", "evaluation")


def write_model_card(folder: Path, config: TrainerConfig, base: ModelFolder, facts: RunFacts) -> None:
    """Write the card of a finished run."""
    parts = [
        _metadata(base, config),
        f"# {config.job.name}",
        f"A LoRA adapter for `{base.source}`{f' at `{base.revision}`' if base.revision else ''}, trained with "
        "[PEFT](https://github.com/huggingface/peft) on weights sharded by FSDP.",
        _usage(base, config),
        "## Result",
        _table(_results(facts)),
        "## Data",
        _table(_data(config, facts)),
        *[f"- {warning}" for warning in facts.data.warnings],
        "## How it ran",
        _table(_asked_and_ran(facts)),
        "## Configuration",
        *[f"### {name}\n\n{_table(_settings(config, name))}" for name in SECTIONS if getattr(config, name)],
        "## Versions",
        _table(facts.versions),
    ]
    (folder / FILE).write_text("\n\n".join(part for part in parts if part) + "\n")


def _metadata(base: ModelFolder, config: TrainerConfig) -> str:
    """The header the Hub reads; it refuses a base model that is no Hub id."""
    on_hub = not base.source.startswith("/")
    data_on_hub = not config.dataset.source.startswith("/")
    header = {
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["lora", "fsdp", "peft-fsdp-job"],
        **({"base_model": base.source} if on_hub else {}),
        **({"datasets": [config.dataset.source]} if data_on_hub else {}),
    }
    return f"---\n{yaml.safe_dump(header, sort_keys=False)}---"


def _usage(base: ModelFolder, config: TrainerConfig) -> str:
    return (
        "```python\n"
        "from peft import PeftModel\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        f'base = AutoModelForCausalLM.from_pretrained("{base.source}", dtype="{config.training.precision}")\n'
        'model = PeftModel.from_pretrained(base, "PATH_OF_THIS_FOLDER")\n'
        'tokenizer = AutoTokenizer.from_pretrained("PATH_OF_THIS_FOLDER")\n'
        "```"
    )


def _results(facts: RunFacts) -> dict[str, Any]:
    rows: dict[str, Any] = {"steps": facts.steps}
    if facts.data.train is None:
        rows["whole passes over the data"] = int(facts.epochs)
    else:
        rows["epochs"] = f"{facts.epochs:.2f}"
    if facts.loss is not None:
        rows["training loss (last logged)"] = f"{facts.loss:.4f}"
    if facts.eval_loss is not None:
        rows["evaluation loss"] = f"{facts.eval_loss:.4f}"
    rows["tokens in the last attempt"] = f"{facts.tokens:,}"
    rows["time in the last attempt's loop"] = format_duration(facts.duration)
    return rows


def _data(config: TrainerConfig, facts: RunFacts) -> dict[str, Any]:
    rows: dict[str, Any] = {
        "source": config.dataset.source,
        "format": facts.data.format,
        "chat template": facts.data.chat_template or "none",
        "packing": facts.data.packing,
        "longest row": f"{facts.data.max_length} tokens",
        "tokens in the loss": config.dataset.loss,
        "streaming": config.dataset.streaming,
        "training split": _split(facts.data.train) if facts.data.train else _streamed(config, facts),
    }
    if facts.data.evaluation is not None:
        rows["evaluation split"] = _split(facts.data.evaluation)
    return rows


def _split(split: SplitFacts) -> str:
    text = f"{split.split}: {split.documents:,} documents in {split.rows:,} rows, {split.tokens:,} tokens"
    return text + _changed(split.truncated, split.dropped)


def _streamed(config: TrainerConfig, facts: RunFacts) -> str:
    text = f"{config.dataset.train_split}: {facts.documents:,} documents in the last attempt"
    return text + _changed(facts.truncated, facts.dropped)


def _changed(truncated: int, dropped: int) -> str:
    return (f", {truncated:,} cut" if truncated else "") + (f", {dropped:,} left out" if dropped else "")


def _asked_and_ran(facts: RunFacts) -> dict[str, Any]:
    return {
        **facts.execution.to_wire(),
        "ranks": f"{facts.world_size} on {facts.device}",
        **({"quantization self-check": facts.self_check} if facts.self_check else {}),
        "trained parameters": f"{facts.trained_parameters:,} of {facts.all_parameters:,}",
    }


def _settings(config: TrainerConfig, section: str) -> dict[str, Any]:
    values: dict[str, Any] = getattr(config, section).model_dump(mode="json", by_alias=True, exclude_none=True)
    return values


def _table(rows: dict[str, Any]) -> str:
    lines = [f"| {name} | {str(value).replace('|', '/')} |" for name, value in rows.items()]
    return "\n".join(["| | |", "| --- | --- |", *lines])
