"""Whether a model keeps packed documents apart is found before its weights are loaded, and is what its logits show."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from peft_fsdp_api.spec import LoraSpec, ModelSpec
from peft_fsdp_trainer.attention import FLASH
from peft_fsdp_trainer.errors import Unsupported
from peft_fsdp_trainer.isolation import check_isolation, looks_at_positions
from peft_fsdp_trainer.model import build_skeleton

from .test_stateful_isolation import TEXTS, largest_difference

# PEFT asks transformers by a name that it has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "initializer_range": 0.3, "tie_word_embeddings": False, "pad_token_id": 0,
         "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
GPT_2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3, "tie_word_embeddings": False}
BLOOM = {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.3, "tie_word_embeddings": False}
KINDS = [
    ("llama", SMALL, True),
    ("gemma2", {**SMALL, "head_dim": 8}, True),
    ("mixtral", {**SMALL, "num_local_experts": 2}, True),
    ("gpt2", GPT_2, True),
    ("opt", {**SMALL, "ffn_dim": 64, "word_embed_proj_dim": 32, "init_std": 0.3}, False),
    ("falcon", {**SMALL, "new_decoder_architecture": True, "num_kv_heads": 2}, False),
    ("bloom", BLOOM, False),
    ("gpt_oss", {**SMALL, "head_dim": 8, "num_local_experts": 2, "num_experts_per_tok": 1}, False),
]


def make_skeleton(config):
    lora = LoraSpec(dropout=0.0, targets=["lm_head"])
    return build_skeleton(config, ModelSpec(source="a/b"), lora, torch.float32, "eager")


@pytest.mark.parametrize(("kind", "fields", "apart"), KINDS, ids=[kind for kind, *_ in KINDS])
def test_the_answer_is_what_the_logits_show(prepared, write_rows, tokenizer, kind, fields, apart):
    config = AutoConfig.for_model(kind, **{**fields, "vocab_size": len(tokenizer)})
    assert looks_at_positions(make_skeleton(config)) is apart
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    file = write_rows(*TEXTS)
    assert (largest_difference(model, prepared(file)) < 1e-3) is apart
    assert largest_difference(model, prepared(file, packing=False)) < 1e-3


@pytest.mark.parametrize(
    ("packing", "attention", "words", "remedy"),
    [
        (True, "sdpa", "packing is true, but BloomForCausalLM makes its attention mask", "packing to false"),
        (False, FLASH, "flash_attention_2 takes all rows of a batch as one, but Bloom", "model.attention to sdpa"),
    ],
)
def test_several_documents_in_a_row_are_refused_by_name(packing, attention, words, remedy):
    skeleton = make_skeleton(AutoConfig.for_model("bloom", **BLOOM))
    with pytest.raises(Unsupported, match=words) as caught:
        check_isolation(skeleton, packing, attention)
    assert remedy in caught.value.hint
    check_isolation(skeleton, packing=False, attention="sdpa")
