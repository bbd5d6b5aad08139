"""Tensors of an adapter file have the names that PEFT itself gives them."""

import pytest
import torch
from peft import get_peft_model_state_dict

from peft_fsdp_api.spec import LoraSpec, ModelSpec
from peft_fsdp_trainer.adapter import saved_name
from peft_fsdp_trainer.model import ADAPTER, build_skeleton, read_model_config

ADAPTERS = [
    {},
    {"variant": "dora"},
    {"modules_to_save": ["lm_head", "input_layernorm"]},
    {"modules_to_save": ["mlp"], "targets": ["q_proj"]},
    {"targets": ["embed_tokens", "lm_head"]},
]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=str)
def test_names_are_those_of_peft(base_model, adapter):
    spec = ModelSpec(source=str(base_model))
    config = read_model_config(base_model, spec)
    peft = build_skeleton(config, spec, LoraSpec(**adapter), torch.bfloat16, "sdpa").peft
    trained = {name: value for name, value in peft.named_parameters() if value.requires_grad}
    expected = get_peft_model_state_dict(peft, state_dict=trained, adapter_name=ADAPTER, save_embedding_layers=False)
    assert {saved_name(name): value.shape for name, value in trained.items()} == {
        name: value.shape for name, value in expected.items()
    }
