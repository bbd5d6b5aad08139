"""Bases that are stored in NF4 are trained as they are; everything else that is quantized is refused by name."""

import json
from pathlib import Path

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

from peft_fsdp_api.spec import ModelSpec, QuantizationSpec
from peft_fsdp_trainer.errors import Unsupported
from peft_fsdp_trainer.model import read_model_config
from tests.trainer.core.gang import run_ranks, train_rank
from tests.trainer.core.test_loading import loaded

# PEFT asks transformers by a name that it has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def _save_nf4(base: Path, place: Path, double_quant: bool) -> Path:
    """What a user's from_pretrained with load_in_4bit and save_pretrained leave behind."""
    nf4 = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double_quant,
        bnb_4bit_compute_dtype=torch.bfloat16)  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, quantization_config=nf4)
    model.save_pretrained(place, max_shard_size="64KB")
    AutoTokenizer.from_pretrained(base).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def nf4_base(base_model, tmp_path_factory) -> Path:
    return _save_nf4(base_model, tmp_path_factory.mktemp("nf4") / "model", double_quant=True)


def _packed(model: torch.nn.Module) -> list[Linear4bit]:
    return [module for module in model.modules() if isinstance(module, Linear4bit)]


@pytest.mark.parametrize("double_quant", [False, True])
def test_packed_bytes_and_scales_are_those_of_the_files(base_model, tmp_path, double_quant):
    folder = _save_nf4(base_model, tmp_path / "model", double_quant)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    ours = loaded(folder, QuantizationSpec(scheme="nf4", double_quant=double_quant)).peft
    assert len(_packed(theirs)) == len(_packed(ours)) == 14
    for want, have in zip(_packed(theirs), _packed(ours), strict=True):
        assert have.weight.dtype == torch.uint8
        assert have.weight.view(torch.uint8).flatten().equal(want.weight.view(torch.uint8).flatten())
        assert have.quant_state == want.quant_state
        # bitsandbytes' own evaluation kernel for AVX512 rounds otherwise.
        want.support_avx512bf16_for_cpu = False
    tokens = torch.arange(5, 21)[None]
    with torch.no_grad():
        assert ours.eval()(tokens).logits.equal(theirs(tokens).logits)


@pytest.mark.parametrize(
    ("spec", "message", "hint"),
    [
        (None, "is stored in NF4, but quantization is not set", "quantization: {scheme: nf4, doubleQuant: true}"),
        (QuantizationSpec(scheme="nf4", double_quant=False), "doubleQuant true, but quantization.doubleQuant is false",
         "doubleQuant: true"),
    ],
)  # fmt: skip
def test_a_spec_that_is_not_what_the_base_is_gets_told_what_to_write(nf4_base, spec, message, hint):
    with pytest.raises(Unsupported, match=message) as refused:
        read_model_config(nf4_base, ModelSpec(source="a/b"), spec)
    assert hint in (refused.value.hint or "")


@pytest.mark.parametrize(
    ("stored", "named"),
    [
        ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"quant_method": "awq", "bits": 4}, "awq"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True, "load_in_4bit": False}, "bitsandbytes in 8 bit"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "fp4"}, "fp4"),
    ],
)
def test_other_methods_are_refused_by_their_name(base_model, tmp_path, stored, named):
    config = json.loads((base_model / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "quantization_config": stored}))
    with pytest.raises(Unsupported, match=f"{named}; only NF4 is read") as refused:
        read_model_config(tmp_path, ModelSpec(source="a/b"), QuantizationSpec(scheme="nf4"))
    assert "16-bit base" in (refused.value.hint or "")


@pytest.mark.slow
def test_it_trains_on_two_ranks_and_merges_into_a_16_bit_model(nf4_base, make_config, tmp_path):
    quantization = {"scheme": "nf4", "doubleQuant": True}
    config = make_config(model={"source": str(nf4_base)}, quantization=quantization, output={"merge": True})
    ended = run_ranks(train_rank, 2, tmp_path / "run", config)[0].value
    assert ended["reason"] == ""
    assert len(ended["losses"]) == 4
    merged = AutoModelForCausalLM.from_pretrained(f"{config.paths.output}/merged", dtype=torch.bfloat16)
    base = AutoModelForCausalLM.from_pretrained(nf4_base, dtype=torch.bfloat16)
    tuned = PeftModel.from_pretrained(base, f"{config.paths.output}/adapter")
    tokens = torch.arange(5, 21)[None]
    with torch.no_grad():
        assert torch.allclose(merged(tokens).logits, tuned(tokens).logits, atol=2e-2)
