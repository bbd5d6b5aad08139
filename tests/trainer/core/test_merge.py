"""The merged model is bit for bit what PEFT merges, loads like any model, and is there as a whole or not at all."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from peft_fsdp_trainer.errors import Preempted
from peft_fsdp_trainer.merge import read_adapter
from peft_fsdp_trainer.weights import find_weights
from tests.trainer.core.conftest import make_base_model
from tests.trainer.core.gang import run_ranks, train_rank
from tests.trainer.small_disk import small_disk

# PEFT asks transformers by a name that it has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def _run(config, folder, world_size=2, function=train_rank):
    return run_ranks(function, world_size, folder, config)[0]


def _merged_by_peft(base, adapter, **how):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload(**how)
    return {name: value.to(torch.bfloat16) for name, value in merged.state_dict().items()}


def _same_bits(folder, expected):
    merged = AutoModelForCausalLM.from_pretrained(folder, dtype="auto").state_dict()
    assert merged.keys() == expected.keys()
    assert {value.dtype for value in merged.values()} == {torch.bfloat16}
    assert [name for name, value in merged.items() if not torch.equal(value, expected[name])] == []


KINDS = [
    {},
    {"use_dora": True},
    {"use_rslora": True, "target_modules": ["q_proj", "down_proj"]},
    {"modules_to_save": ["lm_head"]},
]


def _random_adapter(base, kind, folder):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    peft = get_peft_model(model, LoraConfig(r=4, lora_alpha=6, **{"target_modules": "all-linear", **kind}))
    torch.manual_seed(3)
    for parameter in peft.parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn_like(parameter) / 10
    peft.save_pretrained(folder)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_each_weight_is_merged_to_the_bits_of_peft(base_model, tmp_path, kind):
    _random_adapter(base_model, kind, tmp_path / "adapter")
    adapter, weights = read_adapter(tmp_path / "adapter"), find_weights(base_model)
    expected = _merged_by_peft(base_model, tmp_path / "adapter")
    assert adapter.unmatched(weights.files) == []
    for name in weights.files:
        assert torch.equal(adapter.merged(name, weights.read(name)).to(torch.bfloat16), expected[name]), name


@pytest.mark.filterwarnings("ignore:fan_in_fan_out is set to False:UserWarning")
@pytest.mark.parametrize("kind", [{}, {"use_dora": True}], ids=str)
def test_weights_that_lie_the_other_way_round_are_merged_to_the_bits_of_peft(tmp_path, kind):
    config = GPT2Config(vocab_size=64, n_positions=32, n_embd=16, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).to(torch.bfloat16).save_pretrained(tmp_path / "base")
    _random_adapter(tmp_path / "base", kind, tmp_path / "adapter")
    adapter, weights = read_adapter(tmp_path / "adapter"), find_weights(tmp_path / "base")
    expected = _merged_by_peft(tmp_path / "base", tmp_path / "adapter")
    for name in weights.files:
        assert torch.equal(adapter.merged(name, weights.read(name)).to(torch.bfloat16), expected[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("quantization", [None, {"scheme": "nf4"}], ids=["16 bit", "4 bit"])
def test_a_run_merges_to_the_bits_of_peft_on_the_base_of_its_source(make_config, tmp_path, quantization):
    """Of a 4-bit run too: the base in the files is the 16-bit one. It is tied, in several files."""
    base = make_base_model(tmp_path / "tied", tie_word_embeddings=True)
    sections = {} if quantization is None else {"quantization": quantization}
    config = make_config(model={"source": str(base)}, output={"merge": True}, **sections)
    _run(config, tmp_path / "run")
    output = Path(config.paths.output)
    _same_bits(output / "merged", _merged_by_peft(base, output / "adapter"))
    index = json.loads((output / "merged" / "model.safetensors.index.json").read_text())
    assert "lm_head.weight" not in index["weight_map"]
    assert len(set(index["weight_map"].values())) > 2


@pytest.mark.slow
def test_a_base_in_float32_is_said_to_be_in_16_bit_once_it_is(make_config, tmp_path):
    base = make_base_model(tmp_path / "base", torch.float32)
    config = make_config(model={"source": str(base)}, output={"merge": True}, training={"maxSteps": 1})
    _run(config, tmp_path / "run", 1)
    merged = AutoModelForCausalLM.from_pretrained(f"{config.paths.output}/merged", dtype="auto")
    assert {value.dtype for value in merged.state_dict().values()} == {torch.bfloat16}


def _at_the_third_file(act):
    from peft_fsdp_trainer import merge

    write_file, written = merge._write_file, []

    def counting(*arguments):
        write_file(*arguments)
        written.append(arguments)
        if len(written) == 3:
            act()

    merge._write_file = counting


def killed_while_merging(config):
    _at_the_third_file(lambda: os.kill(os.getpid(), signal.SIGKILL))
    train_rank(config)


def stopped_while_merging(config):
    """The process of a real rank ends in `leave`."""
    from peft_fsdp_trainer.report import Reporter
    from peft_fsdp_trainer.stop import StopRequest
    from peft_fsdp_trainer.train import train

    def leave():
        raise Preempted("stopped")

    folder, stop = Path(config.paths.scratch), StopRequest(leave)
    folder.mkdir(parents=True, exist_ok=True)
    _at_the_third_file(stop.request)
    train(config, Reporter(0, folder), stop)


@pytest.mark.slow
def test_a_merge_that_was_cut_short_is_made_again_and_nothing_is_trained(make_config, tmp_path):
    config = make_config(output={"merge": True}, training={"maxSteps": 1})
    output = Path(config.paths.output)
    with pytest.raises(FileNotFoundError, match="result-0"):  # it left no word
        _run(config, tmp_path / "killed", 1, killed_while_merging)
    assert (output / "adapter").exists()
    assert not (output / "merged").exists()
    assert _run(config, tmp_path / "stopped", 1, stopped_while_merging).reason == "Preempted"
    assert not (output / "merged").exists()
    assert _run(config, tmp_path / "again").value["losses"] == []
    _same_bits(output / "merged", _merged_by_peft(config.model.source, output / "adapter"))
    assert list(output.glob(".merged*")) == []


@pytest.mark.slow
def test_a_volume_without_room_for_the_merged_model_is_named(make_config, tmp_path):
    with small_disk(tmp_path / "disk", "200k") as disk:
        config = make_config(output={"merge": True}, training={"maxSteps": 1})
        paths = config.paths.model_copy(update={"output": str(disk / "tiny"), "volume": str(disk)})
        ended = _run(config.model_copy(update={"paths": paths}), tmp_path / "run", 1).value
        assert ended["reason"] == "DiskFull"
        assert f"the volume of {disk} has no room for the merged model" in ended["message"]
        assert (disk / "tiny" / "adapter").exists()
