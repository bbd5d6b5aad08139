"""Mixtures of experts: stored expert by expert, fused in memory, and loaded as transformers loads them."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DeepseekV3Config,
    DeepseekV3ForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
)

from peft_fsdp_trainer.merge import FinishedAdapter
from peft_fsdp_trainer.model import checkpoint_name
from peft_fsdp_trainer.weights import find_weights
from tests.trainer.core.gang import run_ranks, train_rank
from tests.trainer.core.test_loading import loaded
from tests.trainer.core.test_output import _loss as loss_of

# PEFT asks transformers by a name that it has renamed.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning"),
    # PEFT doubles the rank for fused gate and up projections by a name that it then does not meet.
    pytest.mark.filterwarnings("ignore:The following (rank|alpha)_pattern keys:RuntimeWarning"),
]

SMALL = {"vocab_size": 512, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_experts_per_tok": 2}  # fmt: skip
LATENT = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16,
          "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1}  # fmt: skip


def _mixtral() -> MixtralForCausalLM:
    return MixtralForCausalLM(MixtralConfig(num_local_experts=4, num_key_value_heads=2, **SMALL))


def _qwen() -> Qwen3MoeForCausalLM:
    return Qwen3MoeForCausalLM(
        Qwen3MoeConfig(num_experts=4, moe_intermediate_size=32, head_dim=16, num_key_value_heads=2, **SMALL)
    )


def _deepseek() -> DeepseekV3ForCausalLM:
    model = DeepseekV3ForCausalLM(
        DeepseekV3Config(n_routed_experts=4, moe_intermediate_size=32, num_key_value_heads=4, **SMALL, **LATENT)
    )
    # A stored buffer that transformers keeps in float32.
    model.model.layers[1].mlp.gate.e_score_correction_bias.normal_()
    return model


def _saved(model: torch.nn.Module, folder: Path) -> Path:
    bias = {name: value.clone() for name, value in model.named_buffers() if "bias" in name}
    model.to(torch.bfloat16)
    for name, value in bias.items():
        model.get_buffer(name).data = value
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("make", [_mixtral, _qwen, _deepseek])
def test_logits_and_buffers_are_those_of_from_pretrained(tmp_path, make):
    torch.manual_seed(0)
    folder = _saved(make(), tmp_path / "model")
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    ours = loaded(folder)
    tokens = torch.arange(5, 21)[None]
    with torch.no_grad():
        assert ours.peft.eval()(tokens).logits.equal(theirs.eval()(tokens).logits)
    have = {checkpoint_name(name): value for name, value in ours.peft.named_buffers()}
    for name, value in theirs.named_buffers():
        assert have[name].dtype == value.dtype, name
        assert have[name].equal(value), name


@pytest.mark.slow
def test_an_adapter_of_attention_and_experts_trains_sharded_and_loads(base_model, make_config, tmp_path):
    folder = _saved(_qwen(), tmp_path / "model")
    AutoTokenizer.from_pretrained(base_model).save_pretrained(folder)
    config = make_config(model={"source": str(folder)}, dataset={"evalSplit": "test"})
    ended = run_ranks(train_rank, 2, tmp_path / "run", config)[0].value
    assert ended["reason"] == "", ended["message"]
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tuned = PeftModel.from_pretrained(base, f"{config.paths.output}/adapter")
    assert loss_of(tuned, config) == pytest.approx(ended["eval_loss"], rel=2e-3)


def test_an_adapter_of_fused_experts_is_never_merged_in_part(tmp_path):
    names = find_weights(_saved(_qwen(), tmp_path / "model")).files
    experts = "base_model.model.model.layers.0.mlp.experts.lora_A.weight"
    attention = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    adapter = FinishedAdapter({experts: torch.zeros(1), attention: torch.zeros(1)}, None)
    assert adapter.unmatched(names) == [experts]
