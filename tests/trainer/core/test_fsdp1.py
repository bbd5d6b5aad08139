"""The compatible mode, `fsdp.version: 1`, trains as version 2 does.

The contract asks for GPUs. torch shards over gloo too, and the tests go past the contract to make use of that.
"""

import shutil

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from peft_fsdp_api.spec import FsdpSpec, LoraSpec
from tests.trainer.core.gang import run_ranks, train_rank
from tests.trainer.core.test_loading import held_and_all, loaded

NF4 = {"quantization": {"scheme": "nf4"}}
NO_RECOMPUTATION = {"activationCheckpointing": False, "reshardAfterForward": False}
VARIANTS = [
    {"lora": {"dropout": 0.1}},
    {"lora": {"variant": "dora", "modulesToSave": ["lm_head", "input_layernorm"]}},
    {"lora": {"modulesToSave": ["embed_tokens"]}},
    {"training": {"gradientAccumulation": 2, "maxGradNorm": 0.1}},
    {**NF4, "lora": {"dropout": 0.1, "variant": "dora"}},
    {"fsdp": NO_RECOMPUTATION},
    {"fsdp": {"sharding": "none"}},
    {"training": {"precision": "float16"}},
]

pytestmark = pytest.mark.slow


def _version_1(config):
    return config.model_copy(update={"fsdp": config.fsdp.model_copy(update={"version": 1})})


def _same_adapters(one, two):
    """Names and shapes of two adapter folders' tensors."""
    shapes = [
        {name: value.shape for name, value in load_file(f / "adapter_model.safetensors").items()} for f in (one, two)
    ]
    return shapes[0] == shapes[1]


def _run(config, world_size, folder, *arguments):
    return run_ranks(train_rank, world_size, folder, config, *arguments)[0].value


@pytest.mark.parametrize("quantization", [{}, NF4])
def test_loss_gradient_norm_and_adapter_are_those_of_version_2(make_config, tmp_path, base_model, quantization):
    training = {"maxSteps": 5}
    expected = _run(make_config("uid-2", "two", training=training, **quantization), 2, tmp_path / "two")
    ran = _run(_version_1(make_config("uid-1", "one", training=training, **quantization)), 2, tmp_path / "one")
    assert len(ran["losses"]) == 5
    assert ran["losses"] == pytest.approx(expected["losses"], rel=1e-3)
    assert ran["grad_norm"] == pytest.approx(expected["grad_norm"], rel=1e-2)
    one, two = (tmp_path / "volume" / run / "adapter" for run in ("one", "two"))
    assert _same_adapters(one, two)
    base = AutoModelForCausalLM.from_pretrained(base_model, dtype=torch.bfloat16)
    loaded = PeftModel.from_pretrained(base, one).state_dict()
    saved = load_file(one / "adapter_model.safetensors")
    assert all(value.equal(loaded[name.replace(".weight", ".default.weight")]) for name, value in saved.items())


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_variant_trains_as_with_version_2(make_config, tmp_path, variant):
    expected = _run(make_config("uid-2", "two", **variant), 2, tmp_path / "two")
    ran = _run(_version_1(make_config("uid-1", "one", **variant)), 2, tmp_path / "one")
    assert ran["losses"] == pytest.approx(expected["losses"], rel=1e-3)
    assert _same_adapters(*(tmp_path / "volume" / run / "adapter" for run in ("one", "two")))


def offloaded(config):
    """Without a GPU there is nothing to pin memory for and no stream to wait for, and torch does not look."""
    torch.Tensor.pin_memory = lambda tensor: tensor
    torch.cpu.Stream.synchronize = lambda stream: None
    return train_rank(config)


def test_shards_and_activations_in_host_memory_train_as_with_version_2(make_config, tmp_path):
    training = {"gradientAccumulation": 2, "batchSize": 1}
    expected = _run(make_config("uid-2", "two", training=training), 2, tmp_path / "two")
    config = _version_1(make_config("uid-1", "one", training=training))
    places = config.fsdp.model_copy(update={"cpu_offload": True, "activation_offload": True})
    ran = run_ranks(offloaded, 2, tmp_path / "one", config.model_copy(update={"fsdp": places}))[0].value
    assert ran["losses"] == pytest.approx(expected["losses"], rel=1e-3)


def test_a_checkpoint_of_version_2_is_not_taken_for_one_of_version_1(make_config, tmp_path):
    config = make_config(training={"maxSteps": 4})
    assert _run(config, 2, tmp_path / "two", 2)["reason"] == "Preempted"
    ended = _run(_version_1(config), 2, tmp_path / "one")
    assert ended["reason"] == "Unsupported"
    assert "step-00000002 was written with fsdp.version 2, this is 1" in ended["message"]


def test_hybrid_sharding_trains_as_with_version_2(make_config, tmp_path):
    shape = {"training": {"batchSize": 1}, "fsdp": {"sharding": "hybrid"}, "workers": {"nodes": 2}}
    expected = run_ranks(train_rank, 4, tmp_path / "two", make_config("uid-2", "two", **shape), ranks_per_node=2)
    config = _version_1(make_config("uid-1", "one", **shape))
    ran = run_ranks(train_rank, 4, tmp_path / "one", config, ranks_per_node=2)
    assert ran[0].value["losses"] == pytest.approx(expected[0].value["losses"], rel=1e-3)


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_stopped_run_goes_on_with_the_losses_it_would_have_had(make_config, tmp_path, world_size):
    config = _version_1(make_config(training={"maxSteps": 6, "batchSize": 2, "precision": "float32"}))
    whole = _run(config, 2, tmp_path / "whole")["losses"]
    shutil.rmtree(config.paths.output)
    stopped = _run(config, 2, tmp_path / "stopped", 3)
    assert stopped["reason"] == "Preempted"
    size = {"batch_size": 4 // world_size}
    again = config.model_copy(update={"training": config.training.model_copy(update=size)})
    resumed = _run(again, world_size, tmp_path / "resumed")["losses"]
    assert resumed == pytest.approx(whole[3:], abs=1e-5)


@pytest.mark.parametrize("quantized", [False, True])
def test_each_rank_holds_its_share_of_the_bytes(base_model, tmp_path, quantized):
    for ending in run_ranks(held_and_all, 2, tmp_path, base_model, quantized, 1):
        held, whole = ending.value
        assert held == pytest.approx(whole / 2, rel=0.02)


def test_adapters_that_a_flat_parameter_cannot_hold_are_refused(make_config, tmp_path):
    config = _version_1(make_config(lora={"targets": ["embed_tokens"]}))
    ended = _run(config, 1, tmp_path / "run")
    assert ended["reason"] == "Unsupported"
    assert "embed_tokens" in ended["message"]


def chunks_of_the_head(folder, version, adapter):
    """Loss and gradient of what is trained in a head: three chunks on rank 0, nothing to learn on rank 1."""
    from peft_fsdp_trainer.distributed import join_ranks
    from peft_fsdp_trainer.loss import LanguageModelLoss
    from peft_fsdp_trainer.precision import Precision
    from peft_fsdp_trainer.sharding import plan_sharding

    ranks = join_ranks("cpu")
    spec = FsdpSpec(version=version)
    plan = plan_sharding(spec, Precision(torch.bfloat16), ranks, compile_layers=False)
    lora = LoraSpec(rank=4, dropout=0.0, **adapter)
    skeleton = loaded(folder, lora=lora, shard=plan.shard_layer)
    root = LanguageModelLoss(skeleton)
    root._chunk = 4
    model = plan.shard_root(skeleton, root)
    tokens = torch.arange(10, 26)[None]
    learned = torch.arange(12 if ranks.is_first else 0)
    loss = model({"input_ids": tokens}, learned, learned + 11)
    loss.backward()
    head = next(tensor for tensor in reversed(plan.trained_tensors(skeleton)) if "lm_head" in tensor.name)
    gradient = head.sharded(head.parameter.grad).full_tensor()
    return [float(loss), float(gradient.norm()), float(gradient.abs().sum())]


@pytest.mark.parametrize("adapter", [{"modules_to_save": ["lm_head"]}, {"targets": ["q_proj", "lm_head"]}], ids=str)
def test_a_trained_head_runs_as_often_as_the_chunks_of_each_rank(base_model, tmp_path, adapter):
    one, two = (run_ranks(chunks_of_the_head, 2, tmp_path / str(v), base_model, v, adapter) for v in (1, 2))
    assert one[1].value[0] == 0
    for ending, expected in zip(one, two, strict=True):
        assert ending.value == pytest.approx(expected.value, rel=1e-2, abs=1e-3)
