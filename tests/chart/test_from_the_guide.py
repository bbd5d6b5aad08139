"""The document's tables against those of `peft-fsdp convert`, and the two examples that are the guide's runs."""

import re

import pytest
import yaml

from dev.chart.helm import REPOSITORY
from peft_fsdp_api.job import parse_job
from peft_fsdp_api.schema import nested_model
from peft_fsdp_trainer.convert.accelerate_keys import GUIDE as GUIDE_KEYS
from peft_fsdp_trainer.convert.accelerate_keys import KEYS
from peft_fsdp_trainer.convert.script_flags import FLAGS
from peft_fsdp_trainer.convert.script_flags import GUIDE as GUIDE_FLAGS

# Field of the job, value in the LoRA run, value in the QLoRA run.
RUNS = [
    ("training.seed", 100, 100),
    ("model.source", "meta-llama/Llama-2-70b-hf", "meta-llama/Llama-2-70b-hf"),
    ("dataset.source", "smangrul/ultrachat-10k-chatml", "smangrul/ultrachat-10k-chatml"),
    ("dataset.chat_template", "chatml", "chatml"),
    ("dataset.train_split", "train", "train"),
    ("dataset.eval_split", "test", "test"),
    ("dataset.max_length", 2048, 2048),
    ("dataset.packing", True, True),
    ("training.epochs", 1, 1),
    ("training.logging_steps", 5, 5),
    ("evaluation.every.epochs", 1, 1),
    ("checkpoint.every.epochs", 1, 1),
    ("output.push_to_hub.private", True, True),
    ("output.push_to_hub.when", "checkpoint", "checkpoint"),
    ("training.precision", "bfloat16", "bfloat16"),
    ("training.learning_rate", 1e-4, 1e-4),
    ("training.scheduler", "cosine", "cosine"),
    ("training.weight_decay", 1e-4, 1e-4),
    ("training.warmup_ratio", 0.0, 0.0),
    ("training.max_grad_norm", 1.0, 1.0),
    ("output.path", "llama-sft-lora-fsdp", "llama-sft-qlora-fsdp"),
    ("training.batch_size", 8, 2),
    ("evaluation.batch_size", 8, 2),
    ("training.gradient_accumulation", 4, 2),
    ("fsdp.activation_checkpointing", True, True),
    ("fsdp.sharding", "full", "full"),
    ("fsdp.cpu_offload", False, True),
    ("lora.rank", 8, 8),
    ("lora.alpha", 16, 16),
    ("lora.dropout", 0.1, 0.1),
    ("lora.targets", ["all-linear"], ["all-linear"]),
    ("workers.nodes", 1, 1),
    ("workers.gpus_per_node", 8, 2),
]


def rows() -> dict[str, list[str]]:
    """The cells of each row of the document's tables, by flag or key."""
    lines = (REPOSITORY / "docs" / "from-the-guide.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return {row[0].strip("`"): row for row in cells if len(row) in (3, 5)}


def example(name: str):
    return parse_job(yaml.safe_load((REPOSITORY / "manifests" / "examples" / name).read_text()))


def lookup(value, path: str):
    for name in path.split("."):
        value = getattr(value, name)
    return value


@pytest.mark.parametrize("setting", FLAGS + KEYS, ids=lambda setting: setting.name)
def test_the_document_says_what_convert_does(setting):
    *_, field, remark = rows()[setting.name]
    assert field == (", ".join(f"`{path}`" for path in setting.fields) or "—")
    assert remark == setting.remark
    assert setting.fields or remark.endswith(".")


def test_the_document_has_no_row_that_convert_does_not_know():
    assert set(rows()) == {setting.name for setting in FLAGS + KEYS}
    guide = {name for name, row in rows().items() if len(row) == 5}
    assert guide == {setting.name for setting in GUIDE_FLAGS + GUIDE_KEYS}


@pytest.mark.parametrize("setting", FLAGS + KEYS, ids=lambda setting: setting.name)
def test_every_field_in_the_tables_exists(setting):
    for path in setting.fields:
        model = type(example("llama-70b-lora-8xh100.yaml").spec)
        for name in path.split("."):
            field = next(field for field in model.model_fields.values() if field.alias == name)
            model = nested_model(field.annotation) or model


@pytest.mark.parametrize(("path", "lora", "qlora"), RUNS, ids=lambda value: value if isinstance(value, str) else "")
def test_the_examples_are_the_guides_runs(path, lora, qlora):
    assert lookup(example("llama-70b-lora-8xh100.yaml").spec, path) == lora
    assert lookup(example("llama-70b-qlora-2x24gb.yaml").spec, path) == qlora


def test_only_the_qlora_run_is_quantized_with_bf16_storage():
    assert example("llama-70b-lora-8xh100.yaml").spec.quantization is None
    quantization = example("llama-70b-qlora-2x24gb.yaml").spec.quantization
    assert quantization.to_wire() == {
        "scheme": "nf4",
        "doubleQuant": True,
        "computeDtype": "bfloat16",
        "storageDtype": "bfloat16",
    }


@pytest.mark.parametrize("name", ["llama-70b-lora-8xh100.yaml", "llama-70b-qlora-2x24gb.yaml"])
def test_comments_name_only_flags_and_keys_of_the_guide(name):
    text = (REPOSITORY / "manifests" / "examples" / name).read_text()
    flags = set(re.findall(r"# .*?(--\w+)", text)) - {"--from"}
    assert flags <= {setting.name for setting in GUIDE_FLAGS}
    assert len(flags) > 25
