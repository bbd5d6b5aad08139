"""`peft-fsdp ask`: the same question to a base model and to its adapter, so that one sees what training changed.

Called by cli.py; the demo runs it in a pod beside the output volume.
"""

from pathlib import Path
from typing import Any, Final

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

TOKENIZER_FILE: Final = "tokenizer_config.json"


def ask(base: str, adapter: Path, question: str, max_new_tokens: int = 64) -> tuple[str, str]:
    """The answers of `base` alone and with `adapter`, both greedy.

    The tokenizer, and with it the chat template, is the one that the trainer saved beside the adapter. The adapter of
    a checkpoint has none beside it: the base's is taken.
    Raises FileNotFoundError for a folder without an adapter, a base path that does not exist, or no chat template.
    """
    if not (adapter / "adapter_config.json").is_file():
        raise FileNotFoundError(f"{adapter} holds no adapter (no adapter_config.json); a finished job writes one")
    if base.startswith(("/", ".")) and not Path(base, "config.json").is_file():
        raise FileNotFoundError(f"{base} holds no model (no config.json)")
    tokenizer = AutoTokenizer.from_pretrained(adapter if (adapter / TOKENIZER_FILE).is_file() else base)
    if tokenizer.chat_template is None:
        raise FileNotFoundError(
            f"neither {adapter} nor {base} has a tokenizer with a chat template; "
            "ask the finished adapter, whose folder has the one it was trained with"
        )
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter)).eval()
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with model.disable_adapter():
        before = _answer(model, tokenizer, prompt, max_new_tokens)
    return before, _answer(model, tokenizer, prompt, max_new_tokens)


def _answer(model: Any, tokenizer: Any, prompt: Any, max_new_tokens: int) -> str:
    # The turn ends at the template's end-of-turn token, which need not be the tokenizer's eos.
    ends = [token for token in (tokenizer.eos_token_id, _token_id(tokenizer, "<|im_end|>")) if token is not None]
    with torch.no_grad():
        tokens = model.generate(
            **prompt,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ends[0],
        )
    text: str = tokenizer.decode(tokens[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)
    return text.strip()


def _token_id(tokenizer: Any, token: str) -> int | None:
    found: int | None = tokenizer.get_vocab().get(token)
    return found
