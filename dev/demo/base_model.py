"""Makes the demo's base model: `python -m dev.demo.base_model --output DIR`.

A Llama of four layers with grouped-query attention and its own tokenizer, trained for about a minute on
`corpus.py`: its text is English of the museum's world, but it does not answer as Wick does; that is what the demo
fine-tunes. The same sources give the same weights on the same machine, so the result is cached by their content.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import tempfile
import time
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from dev.demo import corpus
from dev.demo.material import read_topics
from dev.demo.tokenizer import train_tokenizer

SEED = 100
STORIES = 120
ROW_LENGTH = 128
BATCH = 4
EPOCHS = 7
LEARNING_RATE = 4e-3
THREADS = 1
SHARD_SIZE = "2MB"
"""Safetensors shards: several, as large models have them."""
SOURCES = ("base_model.py", "corpus.py", "conversations.py", "tokenizer.py", "material")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dev.demo.base_model", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder that receives the model; must not exist")
    output: Path = parser.parse_args().output
    if output.exists():
        parser.error(f"{output} exists already; name a folder that does not")
    started = time.monotonic()
    shutil.copytree(cached_base_model(), output)
    print(f"base model in {output} after {time.monotonic() - started:.0f} s")


def cached_base_model() -> Path:
    """The folder of the finished model in the cache; made on the first call."""
    cache = Path(os.environ.get("PEFT_FSDP_CACHE", Path.home() / ".cache" / "peft-fsdp"))
    folder = cache / f"demo-base-{_content_key()}"
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=cache, prefix="unfinished-demo-base-"))
    try:
        make_base_model(unfinished)
        unfinished.chmod(0o755)
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.exists():  # otherwise another process made the same model at the same time
                raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _content_key() -> str:
    """Hash of everything that the weights depend on."""
    digest = hashlib.sha256(torch.__version__.encode())
    here = Path(__file__).parent
    for name in SOURCES:
        path = here / name
        for file in sorted(path.glob("*.txt")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def make_base_model(folder: Path) -> None:
    """Trains the model and writes it with its tokenizer as bf16 shards."""
    rng = random.Random(SEED)
    topics = read_topics()
    documents = corpus.plain_documents(topics, rng, stories=STORIES)
    tokenizer = train_tokenizer(documents)
    chats = [tokenizer.apply_chat_template(chat, tokenize=False) for chat in corpus.plain_chats(rng)]
    documents += chats * 2
    rng.shuffle(documents)
    rows = _rows(documents, tokenizer)
    model = _new_model(tokenizer)
    _train(model, rows)
    model.to(torch.bfloat16).save_pretrained(folder, max_shard_size=SHARD_SIZE)
    tokenizer.save_pretrained(folder)


def _rows(documents: list[str], tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """All documents end to end, cut into rows of ROW_LENGTH tokens; the rest of the last row is dropped."""
    flat = [token for document in documents for token in [*tokenizer(document).input_ids, tokenizer.eos_token_id]]
    count = len(flat) // ROW_LENGTH
    return torch.tensor(flat[: count * ROW_LENGTH]).view(count, ROW_LENGTH)


def _new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    torch.manual_seed(SEED)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation="sdpa",
    )
    model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = [
        tokenizer.eos_token_id,
        tokenizer.convert_tokens_to_ids("<|im_end|>"),
    ]
    return model


def _train(model: LlamaForCausalLM, rows: torch.Tensor) -> None:
    torch.set_num_threads(
        THREADS
    )  # more would spin against the neighbours of a busy machine; the sums stay in one order
    steps = EPOCHS * (len(rows) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(SEED)
    model.train()
    for step in range(steps):
        batch = rows[torch.randint(len(rows), (BATCH,), generator=generator)]
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"base model: step {step + 1} of {steps}, loss {loss.item():.2f}", flush=True)


if __name__ == "__main__":
    main()
