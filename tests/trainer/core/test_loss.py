"""The loss in chunks is the plain one, and no tensor of it is as big as all logits."""

import pytest
import torch
from peft import get_peft_model
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, LlamaForCausalLM

from peft_fsdp_api.spec import LoraSpec
from peft_fsdp_trainer.loss import LanguageModelLoss, learned_tokens
from peft_fsdp_trainer.model import Skeleton, lora_config

VOCABULARY, ROWS, LENGTH = 4096, 4, 128
MASKS = {"all": slice(0, None), "completion": slice(LENGTH // 2, None), "assistant": slice(30, 50), "none": slice(0, 0)}


class LargestTensor(TorchDispatchMode):
    """The most numbers in a tensor that any operation made."""

    numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        self.numel = max(self.numel, made.numel() if isinstance(made, torch.Tensor) else 0)
        return made


def skeleton(**lora):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
    )  # fmt: skip
    peft = get_peft_model(LlamaForCausalLM(config), lora_config(LoraSpec(rank=2, dropout=0.0, **lora)))
    for name, parameter in peft.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter)
    return Skeleton(peft, torch.float32, 0)


def gradients(peft):
    found = {name: value.grad for name, value in peft.named_parameters() if value.requires_grad}
    peft.zero_grad()
    return found


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT uses a renamed name
@pytest.mark.parametrize(
    ("lora", "mask"),
    [
        ({}, "all"),
        ({}, "none"),
        ({"targets": ["q_proj", "lm_head"]}, "completion"),
        ({"modules_to_save": ["lm_head"]}, "assistant"),
    ],
)
def test_value_and_gradients_are_those_of_the_plain_loss(lora, mask):
    model = skeleton(**lora)
    loss = LanguageModelLoss(model)
    loss._chunk = 64
    tokens = torch.randint(0, VOCABULARY, (ROWS, LENGTH))
    labels = torch.full_like(tokens, -100)
    labels[:, MASKS[mask]] = tokens[:, MASKS[mask]]
    with LargestTensor() as largest:
        value = loss({"input_ids": tokens}, *learned_tokens(labels))
        value.backward()
    ours = gradients(model.peft)
    logits = model.peft(input_ids=tokens, use_cache=False).logits
    plain = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")
    plain.backward()
    torch.testing.assert_close(value, plain)
    torch.testing.assert_close(ours, gradients(model.peft), atol=1e-3, rtol=1e-4)
    assert largest.numel < logits.numel() / 4
