"""Which attention kernel runs: never another one than was named, and flash attention only where all that it needs is
there."""

from dataclasses import replace

import pytest
import torch
from transformers import BloomConfig, GptOssConfig, LlamaConfig, T5Config

from peft_fsdp_api.spec import ModelSpec
from peft_fsdp_trainer.attention import FLASH, Means, choose_attention
from peft_fsdp_trainer.errors import Unsupported

ALL_THERE = Means("cuda", (8, 0), "bfloat16", True, "LlamaForCausalLM", True)
LACKS = [
    ({"device_type": "cpu", "capability": (0, 0)}, "it needs a GPU"),
    ({"capability": (7, 5)}, "it needs a GPU of compute capability 8.0 or more, and this one has 7.5"),
    ({"precision": "float32"}, "it computes in 16 bit, and training.precision is float32"),
    ({"has_package": False}, "the image has no flash-attn package"),
    ({"model": "BloomForCausalLM", "model_has_flash": False}, "transformers has none for BloomForCausalLM"),
]


def choose(attention, **facts):
    return choose_attention(ModelSpec(source="a/b", attention=attention), replace(ALL_THERE, **facts))


@pytest.mark.parametrize("facts", [{}, {"capability": (12, 0)}, {"precision": "float16"}])
def test_flash_attention_runs_where_all_is_there(facts):
    assert choose("auto", **facts).words == choose(FLASH, **facts).words == "flash_attention_2 runs"


@pytest.mark.parametrize(("facts", "words"), LACKS)
def test_auto_says_what_is_missing_and_a_named_kernel_is_never_replaced(facts, words):
    assert choose("auto", **facts).words == f"sdpa runs (no flash_attention_2: {words})"
    with pytest.raises(Unsupported, match=f"model.attention is flash_attention_2, but {words}") as caught:
        choose(FLASH, **facts)
    assert ("image with the flash-attn package" in caught.value.hint) is ("has_package" in facts)


@pytest.mark.parametrize("name", ["sdpa", "eager", "flex_attention"])
def test_another_kernel_that_was_named_needs_no_words(name):
    assert choose(name).words == choose(name, capability=(7, 5)).words == f"{name} runs"


def test_flex_attention_does_not_train_on_a_cpu():
    with pytest.raises(Unsupported, match="trains on GPUs only; LlamaForCausalLM on a CPU"):
        choose("flex_attention", device_type="cpu")


@pytest.mark.parametrize(
    ("model_config", "name", "has_flash"),
    [
        (LlamaConfig(), "LlamaForCausalLM", True),
        (BloomConfig(), "BloomForCausalLM", False),
        (GptOssConfig(), "GptOssForCausalLM", False),
        (T5Config(), "t5", False),
    ],
    ids=["has it", "has none", "takes others", "no causal language model"],
)
def test_what_transformers_says_of_the_model(make_config, model_config, name, has_flash):
    means = Means.of(make_config(), model_config, torch.device("cpu"))
    assert (means.model, means.model_has_flash) == (name, has_flash)


def test_a_class_that_comes_with_the_model_is_asked_itself(make_config, tmp_path):
    """Not the one of transformers for the same kind of configuration."""
    (tmp_path / "own.py").write_text(
        "from transformers import LlamaForCausalLM\nclass Own(LlamaForCausalLM):\n    _supports_flash_attn = False\n"
    )
    own = LlamaConfig(auto_map={"AutoModelForCausalLM": "own.Own"}, name_or_path=str(tmp_path))
    for trusted, name in ((True, "Own"), (False, "LlamaForCausalLM")):
        means = Means.of(make_config(model={"trustRemoteCode": trusted}), own, torch.device("cpu"))
        assert (means.model, means.model_has_flash) == (name, not trusted)
