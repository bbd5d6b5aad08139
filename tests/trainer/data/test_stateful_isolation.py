"""Why models that carry state train on one document per row: there a document has the logits it has alone."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from .test_isolation import TEXTS, logits_by_document

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 8, "initializer_range": 0.3, "pad_token_id": 0, "bos_token_id": 1,
         "eos_token_id": 2}  # fmt: skip
QWEN = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
        "num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16, "layer_types": ["linear_attention", "full_attention"]}  # fmt: skip
FALCON = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1}
LFM = {"layer_types": ["conv", "full_attention"]}
KINDS = [("qwen3_next", QWEN), ("falcon_h1", FALCON), ("lfm2", LFM)]


def tiny_model(kind, fields, vocabulary):
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **{**SMALL, "vocab_size": vocabulary, **fields})
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval()


def largest_difference(model, data):
    return max(float((together - alone).abs().max()) for together, alone in logits_by_document(model, data.train))


@pytest.mark.parametrize(("kind", "fields"), KINDS, ids=[kind for kind, _ in KINDS])
def test_an_unpacked_row_is_as_it_is_alone_and_a_packed_one_is_not(prepared, write_rows, tokenizer, kind, fields):
    """With its padding and the other rows around it. The second half is why packing is refused; where it fails with a
    newer transformers, the refusal can go."""
    model = tiny_model(kind, fields, len(tokenizer))
    file = write_rows(*TEXTS)
    assert largest_difference(model, prepared(file, packing=False)) < 1e-4
    assert largest_difference(model, prepared(file)) > 1e-2
