"""What architectures do between their backbone and their logits is in the loss, each as its own code does it."""

import pytest
import torch
from peft import get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.modeling_outputs import BaseModelOutputWithPast

from peft_fsdp_api.spec import LoraSpec
from peft_fsdp_trainer.errors import Unsupported
from peft_fsdp_trainer.loss import LanguageModelLoss, learned_tokens
from peft_fsdp_trainer.model import Skeleton, lora_config

# PEFT asks transformers by a name that it has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

SMALL = {"vocab_size": 128, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": False,
         "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3}  # fmt: skip
GEMMA_4 = {**SMALL, "final_logit_softcapping": 0.5, "hidden_size_per_layer_input": 0, "global_head_dim": 8,
           "num_kv_shared_layers": 0}  # fmt: skip
MAMBA = {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1}
VISION = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
          "num_key_value_heads": 2, "head_dim": 8}  # fmt: skip

SCALED = [
    ("gemma2", {**SMALL, "final_logit_softcapping": 0.5}),
    ("gemma3n_text", {**SMALL, "final_logit_softcapping": 0.5, "vocab_size_per_layer_input": 128,
                      "hidden_size_per_layer_input": 8, "num_kv_shared_layers": 0, "laurel_rank": 4,
                      "activation_sparsity_pattern": [0.0, 0.0]}),
    ("gemma4_text", GEMMA_4),
    # As a file names it that is loaded for text alone: the cap stands in the part for text.
    ("gemma4", {"text_config": GEMMA_4, "vision_config": VISION, "audio_config": None,
                "tie_word_embeddings": False, "initializer_range": 0.3}),
    ("granite", {**SMALL, "logits_scaling": 5.0}),
    ("hyperclovax", {**SMALL, "logits_scaling": 5.0}),
    ("minicpm3", {**SMALL, "dim_model_base": 8, "num_key_value_heads": 4, "q_lora_rank": 8, "kv_lora_rank": 8,
                  "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8}),
    ("cohere", {**SMALL, "logit_scale": 5.0}),
    ("falcon_h1", {**SMALL, **MAMBA, "lm_head_multiplier": 5.0}),
    ("recurrent_gemma", {**SMALL, "logits_soft_cap": 0.5, "lru_width": 32}),
    ("nanochat", {**SMALL, "final_logit_softcapping": 0.5}),
]  # fmt: skip
PLAIN = [
    ("llama", SMALL),
    ("mixtral", {**SMALL, "num_local_experts": 2}),
    ("llama4_text", {**SMALL, "num_local_experts": 2, "intermediate_size_mlp": 64, "for_llm_compressor": False}),
    ("opt", {**SMALL, "ffn_dim": 64, "word_embed_proj_dim": 32, "init_std": 0.3}),
]


def make_loss(kind, fields):
    torch.manual_seed(0)
    causal = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **fields), attn_implementation="eager")
    peft = get_peft_model(causal, lora_config(LoraSpec(rank=2, dropout=0.0, targets=["lm_head"])))
    loss = LanguageModelLoss(Skeleton(peft, torch.float32, 0))
    loss._chunk = 16
    return loss.eval()


def summed(logits, tokens):
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), reduction="sum")


def losses(kind, fields):
    """By our loss, by the model's own logits, and by its head alone."""
    loss = make_loss(kind, fields)
    skeleton, tokens = loss._skeleton, torch.randint(3, 128, (2, 20))
    with torch.no_grad():
        ours = loss({"input_ids": tokens}, *learned_tokens(tokens))
        theirs = skeleton.causal(input_ids=tokens, use_cache=False).logits
        bare = skeleton.head(skeleton.backbone(input_ids=tokens, use_cache=False).last_hidden_state)
    return ours, summed(theirs, tokens), summed(bare, tokens)


@pytest.mark.parametrize(("kind", "fields"), SCALED, ids=[kind for kind, _ in SCALED])
def test_logits_are_scaled_and_capped_as_the_model_does_it(kind, fields):
    ours, theirs, bare = losses(kind, fields)
    torch.testing.assert_close(ours, theirs)
    assert abs(bare - theirs) > 1e-3 * theirs


@pytest.mark.parametrize(("kind", "fields"), PLAIN, ids=[kind for kind, _ in PLAIN])
def test_logits_without_a_scale_are_those_of_the_head(kind, fields):
    ours, theirs, bare = losses(kind, fields)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(bare, theirs)


def test_a_model_that_does_not_ask_its_backbone_once_is_refused():
    loss = make_loss("llama", SMALL)
    causal, answered = loss._skeleton.causal, loss._skeleton.causal.forward

    def twice(*inputs, **named):
        causal.model(*inputs)
        return answered(*inputs, **named)

    causal.forward = twice
    with pytest.raises(Unsupported, match="LlamaForCausalLM makes its logits of more"):
        loss._logits(BaseModelOutputWithPast, torch.zeros(3, 32))
    assert "forward" not in vars(causal.model)
