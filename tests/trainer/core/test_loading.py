"""The streaming loader gives the same bits as `from_pretrained`, and each rank keeps its share of them."""

import pytest
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from peft_fsdp_api.spec import FsdpSpec, LoraSpec, ModelSpec, QuantizationSpec
from peft_fsdp_trainer.errors import ModelNotAvailable
from peft_fsdp_trainer.loading import Loader
from peft_fsdp_trainer.model import build_skeleton, checkpoint_name, read_model_config
from peft_fsdp_trainer.weights import find_weights
from tests.trainer.core.conftest import make_base_model
from tests.trainer.core.gang import run_ranks

# PEFT asks transformers by a name that it has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")

LORA = LoraSpec(rank=4, dropout=0.0)


def loaded(folder, quantization=None, lora=LORA, shard=lambda layer: layer):
    spec = ModelSpec(source=str(folder))
    skeleton = build_skeleton(read_model_config(folder, spec, quantization), spec, lora, torch.bfloat16, "sdpa")
    Loader(skeleton, find_weights(folder), torch.device("cpu"), quantization, 7).load(shard, lambda done, total: None)
    return skeleton


def _bits(tensors):
    return {checkpoint_name(name): value for name, value in tensors if "lora_" not in name}


@pytest.mark.parametrize("double_quant", [None, False, True])
def test_every_parameter_and_buffer_is_bit_equal_to_from_pretrained(base_model, double_quant):
    quantization, theirs = None, {}
    if double_quant is not None:
        quantization = QuantizationSpec(scheme="nf4", double_quant=double_quant)
        theirs["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double_quant,
            bnb_4bit_compute_dtype=torch.bfloat16)  # fmt: skip
    expected = AutoModelForCausalLM.from_pretrained(base_model, dtype=torch.bfloat16, **theirs)
    ours = loaded(base_model, quantization).peft
    for get in (torch.nn.Module.named_parameters, torch.nn.Module.named_buffers):
        want, have = _bits(get(expected)), _bits(get(ours))
        assert have.keys() == want.keys()
        assert all(have[name].dtype == value.dtype for name, value in want.items())
        assert all(have[name].view(torch.uint8).equal(value.view(torch.uint8)) for name, value in want.items())


def test_tied_embeddings_stay_one_parameter(tmp_path):
    causal = loaded(make_base_model(tmp_path / "tied", tie_word_embeddings=True)).causal
    assert causal.get_input_embeddings().weight is causal.get_output_embeddings().weight


def test_a_file_that_is_cut_off_is_named(tmp_path):
    folder = make_base_model(tmp_path / "model")
    victim = sorted(folder.glob("*.safetensors"))[1]
    victim.write_bytes(victim.read_bytes()[:-100])
    with pytest.raises(ModelNotAvailable, match=victim.name):
        loaded(folder)


def test_dora_starts_as_the_base_model(base_model):
    plain = AutoModelForCausalLM.from_pretrained(base_model, dtype=torch.bfloat16)
    dora = loaded(base_model, lora=LORA.model_copy(update={"variant": "dora"})).peft
    tokens = torch.arange(5, 21)[None]
    assert torch.allclose(dora(tokens).logits.float(), plain(tokens).logits.float(), atol=2e-2)


def held_and_all(folder, quantized: bool, version: int = 2) -> list[int]:
    from peft_fsdp_trainer.distributed import join_ranks
    from peft_fsdp_trainer.loss import LanguageModelLoss
    from peft_fsdp_trainer.precision import Precision
    from peft_fsdp_trainer.sharding import held_bytes, plan_sharding

    ranks = join_ranks("cpu")
    plan = plan_sharding(FsdpSpec(version=version), Precision(torch.bfloat16), ranks, compile_layers=False)
    quantization = QuantizationSpec(scheme="nf4") if quantized else None
    whole = held_bytes(loaded(folder, quantization).peft)
    skeleton = loaded(folder, quantization, shard=plan.shard_layer)
    root = LanguageModelLoss(skeleton)
    root = plan.shard_root(skeleton, root)
    return [held_bytes(root), whole]


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("world_size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_each_rank_holds_its_share_of_the_bytes(base_model, tmp_path, world_size, quantized):
    for ending in run_ranks(held_and_all, world_size, tmp_path, base_model, quantized):
        held, whole = ending.value
        assert held == pytest.approx(whole / world_size, rel=0.02)
