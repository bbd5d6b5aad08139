"""What the guide's script does, with today's names: `python -m tests.gpu_check.baseline RESULT FLAGS…`.

TRL's SFTTrainer on a model from `from_pretrained`, sharded by Accelerate as its file says. Each step's loss, count of
tokens and time go to RESULT. Started by `runs`, through `accelerate launch` where there are GPUs.

Left out: the guide's script adds the template's markers to the vocabulary and resizes the embeddings. The base of a
check has them (`inputs`), so that both sides see the same tokens; the report says so.
"""

import importlib.util
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, TrainerCallback
from trl import SFTConfig, SFTTrainer

from peft_fsdp_trainer.convert.arguments import read_arguments
from peft_fsdp_trainer.convert.given import Said
from tests.gpu_check.baseline_marks import STARTS


class Recorder(TrainerCallback):
    """Keeps what each step says, and when it said so."""

    def __init__(self, result: Path, attention: str) -> None:
        self.result, self.attention = result, attention
        self.steps: list[dict[str, float]] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            print(STARTS, flush=True)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        if "loss" in logs:
            self.steps.append(
                {"step": state.global_step, "loss": logs["loss"], "tokens": logs["num_tokens"], "time": time.time()}
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            self.result.write_text(json.dumps({"attention": self.attention, "steps": self.steps}))


def main() -> None:
    result, given = Path(sys.argv[1]), read_arguments(sys.argv[2:])
    if given.problems:
        raise SystemExit("\n".join(map(str, given.problems)))
    said = given.said
    # Before the model, as in the guide's script: this joins the ranks, so each loads onto its own GPU.
    settings = _settings(said, result.parent)
    tokenizer = AutoTokenizer.from_pretrained(_value(said, "--model_name_or_path"))
    has_flash = torch.cuda.is_available() and importlib.util.find_spec("flash_attn") is not None
    attention = "flash_attention_2" if has_flash else "sdpa"
    trainer = SFTTrainer(
        model=_model(said, attention),
        args=settings,
        train_dataset=_data(said, tokenizer),
        processing_class=tokenizer,
        peft_config=LoraConfig(
            r=_value(said, "--lora_r"),
            lora_alpha=_value(said, "--lora_alpha"),
            lora_dropout=_value(said, "--lora_dropout"),
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
        callbacks=[Recorder(result, attention)],
    )
    trainer.train()


def _value(said: dict[str, Said], name: str) -> Any:
    return said[name].value


def _model(said: dict[str, Said], attention: str) -> Any:
    """The base in float32, or in 4 bit with its storage type for the rest, as the guide loads it."""
    quantization = dtype = None
    if _value(said, "--use_4bit_quantization"):
        dtype = getattr(torch, _value(said, "--bnb_4bit_quant_storage_dtype"))
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=_value(said, "--use_nested_quant"),
            bnb_4bit_compute_dtype=getattr(torch, _value(said, "--bnb_4bit_compute_dtype")),
            bnb_4bit_quant_storage=dtype,
        )
    return AutoModelForCausalLM.from_pretrained(
        _value(said, "--model_name_or_path"),
        quantization_config=quantization,
        dtype=dtype or torch.float32,
        attn_implementation=attention,
    )


def _data(said: dict[str, Said], tokenizer: Any) -> Any:
    """The conversations as text in the column that the flag names."""
    field = _value(said, "--dataset_text_field")
    file = Path(_value(said, "--dataset_name")) / "train.jsonl"
    rows = load_dataset("json", data_files=str(file), split="train")
    return rows.map(
        lambda row: {field: tokenizer.apply_chat_template(row["messages"], tokenize=False)},
        remove_columns=["messages"],
    )


def _settings(said: dict[str, Said], folder: Path) -> SFTConfig:
    direct = {
        "seed": "--seed",
        "max_steps": "--max_steps",
        "logging_steps": "--logging_steps",
        "per_device_train_batch_size": "--per_device_train_batch_size",
        "gradient_accumulation_steps": "--gradient_accumulation_steps",
        "learning_rate": "--learning_rate",
        "lr_scheduler_type": "--lr_scheduler_type",
        "weight_decay": "--weight_decay",
        "max_grad_norm": "--max_grad_norm",
        "bf16": "--bf16",
        "max_length": "--max_seq_len",
        "packing": "--packing",
        "dataset_text_field": "--dataset_text_field",
        "gradient_checkpointing": "--gradient_checkpointing",
    }
    return SFTConfig(
        output_dir=str(folder / _value(said, "--output_dir")),
        gradient_checkpointing_kwargs={"use_reentrant": _value(said, "--use_reentrant")},
        warmup_steps=_value(said, "--warmup_ratio"),
        save_strategy="no",
        report_to="none",
        use_cpu=not torch.cuda.is_available(),
        **{name: _value(said, flag) for name, flag in direct.items()},
    )


if __name__ == "__main__":
    main()
