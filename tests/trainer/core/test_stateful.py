"""Models with recurrent or convolution layers train on one document per row, and never on rows laid end to end."""

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    Gemma3nTextConfig,
    Lfm2Config,
    LlamaConfig,
    MiniMaxConfig,
    MixtralConfig,
    Qwen3NextConfig,
    Qwen3NextForCausalLM,
    RwkvConfig,
)

from peft_fsdp_trainer.attention import FLASH, Attention
from peft_fsdp_trainer.errors import Unsupported
from peft_fsdp_trainer.stateful import carrying_model, keep_rows_apart
from tests.trainer.core.gang import run_ranks, train_rank

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 8, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
         "linear_key_head_dim": 8, "linear_value_head_dim": 8, "num_experts": 2, "num_experts_per_tok": 1,
         "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16,
         "layer_types": ["linear_attention", "full_attention"]}  # fmt: skip


@pytest.mark.parametrize(
    ("model_config", "name"),
    [
        (Qwen3NextConfig(), "Qwen3NextForCausalLM"),
        (Lfm2Config(full_attn_idxs=[2]), "Lfm2ForCausalLM"),
        (MiniMaxConfig(), "MiniMaxForCausalLM"),
        (RwkvConfig(), "RwkvForCausalLM"),
        (AutoConfig.for_model("falcon_h1"), "FalconH1ForCausalLM"),
        (AutoConfig.for_model("qwen3_5"), "Qwen3_5ForCausalLM"),
        (AutoConfig.for_model("deepseek_v4"), "DeepseekV4ForCausalLM"),
        (LlamaConfig(), None),
        (MixtralConfig(), None),
        (Gemma3nTextConfig(), None),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_which_models_carry_state(make_config, model_config, name):
    assert carrying_model(make_config(), model_config) == name


def test_packing_is_refused_by_name(make_config):
    words = "packing is true, but layers of Qwen3NextForCausalLM carry"
    with pytest.raises(Unsupported, match=words) as caught:
        keep_rows_apart(make_config(), Qwen3NextConfig(), Attention("sdpa"))
    assert "dataset.packing to false" in caught.value.hint


def test_flash_attention_is_not_chosen_and_refused_where_it_was_named(make_config):
    def keep(asked, chosen):
        config = make_config(dataset={"packing": False})
        # The contract refuses flash attention without GPUs; the rule is the same.
        asking = config.model_copy(update={"model": config.model.model_copy(update={"attention": asked})})
        return keep_rows_apart(asking, Qwen3NextConfig(), Attention(chosen))

    assert keep("auto", FLASH).words.startswith("sdpa runs (no flash_attention_2, which takes all rows as one: layers")
    assert keep("eager", "eager") == Attention("eager")
    with pytest.raises(Unsupported, match="attention is flash_attention_2, which takes all rows"):
        keep(FLASH, FLASH)


def test_other_models_keep_packing_and_kernel(make_config):
    assert keep_rows_apart(make_config(), LlamaConfig(), Attention(FLASH)) == Attention(FLASH)


@pytest.mark.parametrize("packing", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_whole_run(base_model, make_config, tmp_path, packing):
    folder = tmp_path / "model"
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    config = Qwen3NextConfig(vocab_size=len(tokenizer), **SMALL)
    Qwen3NextForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    job = make_config(model={"source": str(folder)}, dataset={"packing": packing}, lora={"targets": ["q_proj"]})
    ended = [ending.value for ending in run_ranks(train_rank, 2, tmp_path / "run", job)]
    assert {end["reason"] for end in ended} == {"Unsupported" if packing else ""}
    assert len(ended[0]["losses"]) == (0 if packing else 4)
