"""Writes the random Llama and the conversations: `python -m tests.gpu_check.inputs SIZE DEVICE TOKENS ROW FOLDER`.

A process of its own, so that its memory on the GPU is free again before anything is measured. Started by `runs`.
"""

import json
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from dev.demo import corpus
from dev.demo.conversations import compose
from dev.demo.material import read_topics
from dev.demo.tokenizer import train_tokenizer
from tests.gpu_check.sizes import SIZES, TINY, Size

SEED = 100
LONGEST_TALK = 12
"""Exchanges in one conversation: from tens of tokens to about a thousand, as chat data has them."""

Message = dict[str, str]


@dataclass(frozen=True)
class Budget:
    """How much data: tokens in all, where no conversation counts for more than a row, which cuts it."""

    tokens: int
    row: int


def main() -> None:
    name, device, tokens, row, folder = sys.argv[1:]
    size = TINY if name == TINY.name else SIZES[name]
    rng = random.Random(SEED)
    topics = read_topics()
    talks = [talk for test in (False, True) for talk in compose(topics, test=test)]
    tokenizer = train_tokenizer([*corpus.plain_documents(topics, rng, stories=100), *_texts(talks)])
    write_model(size, tokenizer, torch.device(device), Path(folder) / "model")
    write_data(tokenizer, talks, Budget(int(tokens), int(row)), rng, Path(folder) / "data")


def write_model(size: Size, tokenizer: PreTrainedTokenizerFast, device: torch.device, folder: Path) -> None:
    """Random bf16 weights in shards, with the tokenizer."""
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.key_value_heads,
        max_position_embeddings=4096,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype=torch.bfloat16,
    )
    torch.set_default_dtype(torch.bfloat16)
    with device:
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_data(
    tokenizer: PreTrainedTokenizerFast, talks: list[list[Message]], budget: Budget, rng: random.Random, folder: Path
) -> None:
    """Conversations of many lengths, as many as the budget takes."""
    folder.mkdir(parents=True)
    tokens = budget.tokens
    with (folder / "train.jsonl").open("w") as file:
        while tokens > 0:
            chosen = rng.choices(talks, k=rng.randint(1, LONGEST_TALK))
            messages = [message for talk in chosen for message in talk if message["role"] != "system"]
            file.write(json.dumps({"messages": messages}) + "\n")
            tokens -= min(len(tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"]), budget.row)


def _texts(talks: list[list[Message]]) -> list[str]:
    return [message["content"] for talk in talks for message in talk]


if __name__ == "__main__":
    main()
