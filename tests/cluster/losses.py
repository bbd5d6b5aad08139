"""The loss of an exported adapter, computed without a line of the trainer: transformers and peft only."""

import json
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig


def evaluation_loss(demo_input: Path, adapter: Path, quantized: bool, max_length: int) -> float:
    """Mean loss per predicted token of the test conversations, each on its own, with the adapter on its base."""
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    base = AutoModelForCausalLM.from_pretrained(demo_input / "base-model", **storage(quantized))
    model = PeftModel.from_pretrained(base, str(adapter)).eval()
    total, count = 0.0, 0
    for line in (demo_input / "data" / "test.jsonl").read_text().splitlines():
        encoded = tokenizer.apply_chat_template(json.loads(line)["messages"], return_dict=True, return_tensors="pt")
        tokens = encoded["input_ids"][:, :max_length]
        with torch.no_grad():
            loss = model(input_ids=tokens, labels=tokens).loss
        total += loss.item() * (tokens.shape[1] - 1)
        count += tokens.shape[1] - 1
    return total / count


def storage(quantized: bool) -> dict[str, object]:
    """How `from_pretrained` is asked for the base as the job stored it."""
    if not quantized:
        return {"dtype": torch.bfloat16}
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_quant_storage=torch.bfloat16,
    )
    return {"dtype": torch.bfloat16, "quantization_config": config}
