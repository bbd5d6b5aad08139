"""What lies in the output: a whole adapter of this job, or what was there before."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from peft_fsdp_trainer.data import Batches, prepare
from tests.trainer.core.conftest import make_base_model
from tests.trainer.core.gang import run_ranks, train_rank

# PEFT asks transformers by a name that it has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def _run(config, world_size, folder):
    return run_ranks(train_rank, world_size, folder, config)[0].value


def _loss(model, config):
    tokenizer = AutoTokenizer.from_pretrained(config.model.source)
    cache = Path(config.paths.cache)
    rows = prepare(config.dataset, tokenizer, attention="sdpa", cache_dir=cache, report=lambda *_: None).evaluation
    total = tokens = 0
    for batch in Batches(rows, batch_size=4, shuffle=False):
        with torch.no_grad():
            inputs = {name: batch.inputs[name] for name in ("input_ids", "position_ids")}
            # A cache would switch off the isolation of packed documents.
            logits = model(**inputs, use_cache=False).logits
        labels = batch.inputs["labels"][:, 1:].flatten()
        total += torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels, reduction="sum").item()
        tokens += batch.loss_tokens
    return total / tokens


RUNS = (
    "auto asked, sdpa runs",
    "nf4 sharded as bytes",
    "computed in bfloat16",
    "full asked",
    "over 1 ranks",
    "eager layers",
)

LORA_KINDS = [
    {},
    pytest.param({"variant": "dora"}, marks=pytest.mark.slow),
    pytest.param({"variant": "rslora", "targets": ["q_proj", "v_proj"]}, marks=pytest.mark.slow),
    pytest.param({"modulesToSave": ["lm_head"]}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("lora", LORA_KINDS)
def test_the_adapter_gives_the_loss_that_the_trainer_saw(make_config, tmp_path, lora):
    training = {"precision": "float32", "maxSteps": 3}
    config = make_config(lora=lora, training=training, dataset={"evalSplit": "test"})
    ended = _run(config, 2, tmp_path / "run")
    adapter = f"{config.paths.output}/adapter"
    base = AutoModelForCausalLM.from_pretrained(config.model.source, dtype=torch.float32)
    before = _loss(base, config)
    after = _loss(PeftModel.from_pretrained(base, adapter), config)
    assert after < before
    assert after == pytest.approx(ended["eval_loss"], rel=1e-5)


@pytest.mark.slow
def test_an_adapter_of_a_4_bit_base_gives_the_loss_that_the_trainer_saw(make_config, tmp_path):
    config = make_config(quantization={"scheme": "nf4"}, dataset={"evalSplit": "test"})
    ended = _run(config, 2, tmp_path / "run")
    nf4 = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16, bnb_4bit_quant_storage=torch.bfloat16)  # fmt: skip
    base = AutoModelForCausalLM.from_pretrained(config.model.source, dtype=torch.bfloat16, quantization_config=nf4)
    tuned = PeftModel.from_pretrained(base, f"{config.paths.output}/adapter")
    assert _loss(tuned, config) == pytest.approx(ended["eval_loss"], rel=1e-3)


@pytest.mark.parametrize(("template", "end"), [("chatml", "<|im_end|>"), ("zephyr", "</s>")])
def test_the_exported_tokenizer_renders_as_the_trainer_did(make_config, tmp_path, template, end):
    base = make_base_model(tmp_path / "base")
    (base / "chat_template.jinja").unlink()
    talk = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "The lamp."}]
    data = tmp_path / "talk.jsonl"
    data.write_text(json.dumps({"messages": talk}) + "\n")
    dataset = {"source": str(data), "format": "messages", "chatTemplate": template}
    config = make_config(model={"source": str(base)}, dataset=dataset, training={"maxSteps": 1, "batchSize": 1})
    _run(config, 1, tmp_path / "run")
    tokenizer = AutoTokenizer.from_pretrained(f"{config.paths.output}/adapter")
    assert f"The lamp.{end}" in tokenizer.apply_chat_template(talk, tokenize=False)


def test_a_finished_adapter_is_not_trained_again(make_config, tmp_path):
    config = make_config(training={"maxSteps": 1})
    _run(config, 1, tmp_path / "first")
    weights = Path(config.paths.output) / "adapter" / "adapter_model.safetensors"
    made = weights.stat().st_mtime_ns
    assert _run(config, 1, tmp_path / "again")["losses"] == []
    assert weights.stat().st_mtime_ns == made
    report = json.loads((Path(config.paths.scratch) / "rank-0.json").read_text())
    assert report["adapter"]["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert report["adapter"]["path"] == "tiny/adapter"


def test_the_adapter_of_another_job_is_refused_and_kept(make_config, tmp_path):
    adapter = tmp_path / "volume" / "tiny" / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_model.safetensors").write_text("precious")
    for ended in run_ranks(train_rank, 2, tmp_path / "run", make_config("uid-2")):
        assert ended.value["reason"] == "OutputConflict"
        assert "tiny/adapter" in ended.value["message"]
    assert (adapter / "adapter_model.safetensors").read_text() == "precious"


def test_card_report_and_log_say_what_was_asked_and_what_runs(make_config, tmp_path):
    config = make_config(training={"maxSteps": 1}, quantization={"scheme": "nf4"})
    _run(config, 1, tmp_path / "run")
    card = (Path(config.paths.output) / "adapter" / "README.md").read_text()
    for fact in (*RUNS, "48 documents", "| torch |", "| steps | 1 |"):
        assert fact in card
    report = json.loads((Path(config.paths.scratch) / "rank-0.json").read_text())
    assert all(any(fact in words for words in report["execution"].values()) for fact in RUNS)
    said = (tmp_path / "run" / "output-0.log").read_text()
    assert all(fact in said for fact in RUNS)
