"""Every way to spread and to compute that the spec offers trains to the same losses as the default."""

import pytest

from tests.trainer.core.conftest import make_base_model
from tests.trainer.core.gang import run_ranks, train_rank

NF4 = {"quantization": {"scheme": "nf4"}}
MODES = [
    {"fsdp": {"sharding": "none"}},
    {"fsdp": {"activationCheckpointing": False}},
    {"fsdp": {"activationCheckpointing": False, "reshardAfterForward": False}},
    {"training": {"precision": "float16"}},
    {"training": {"precision": "float32"}},
    {"dataset": {"packing": False}, "training": {"gradientAccumulation": 2, "batchSize": 1}},
]


def _losses(config, world_size, folder, **places):
    return run_ranks(train_rank, world_size, folder, config, **places)[0].value["losses"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_two_ranks_train_as_by_default(make_config, tmp_path, mode):
    same_rows = {"dataset": mode["dataset"]} if "dataset" in mode else {}
    default = _losses(make_config("uid-1", "default", **same_rows), 2, tmp_path / "default")
    ran = _losses(make_config("uid-2", "mode", **mode), 2, tmp_path / "mode")
    assert len(ran) == 4
    assert ran == pytest.approx(default, rel=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{}, NF4], ids=["bfloat16", "nf4"])
@pytest.mark.parametrize("place", ["cpu_offload", "activation_offload"])
def test_what_is_moved_to_the_host_trains_as_by_default(make_config, tmp_path, place, changed):
    """The contract refuses both without GPUs, where there is nowhere to move things from; the code path is the same."""
    default = _losses(make_config("uid-1", "default", **changed), 2, tmp_path / "default")
    config = make_config("uid-2", "mode", **changed)
    moved = config.model_copy(update={"fsdp": config.fsdp.model_copy(update={place: True})})
    assert _losses(moved, 2, tmp_path / "mode") == pytest.approx(default, rel=5e-3)


def compiled_frames(config):
    from torch._dynamo.utils import counters

    ended = train_rank(config)
    breaks, graphs = dict(counters["graph_break"]), counters["stats"]["unique_graphs"]
    return {**ended, "frames": dict(counters["frames"]), "breaks": breaks, "graphs": graphs}


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{}, NF4], ids=["bfloat16", "nf4"])
def test_compiled_layers_train_as_by_default_and_all_of_them_are_compiled_whole(make_config, tmp_path, changed):
    """More layers than torch by default compiles variants of a function; it would run the others as they are."""
    model = {"source": str(make_base_model(tmp_path / "base", num_hidden_layers=10))}
    default = _losses(make_config("uid-1", "default", model=model, **changed), 2, tmp_path / "default")
    compiled = make_config("uid-2", "compiled", model=model, training={"compile": True}, **changed)
    ran = run_ranks(compiled_frames, 2, tmp_path / "compiled", compiled)[0].value
    assert ran["reason"] == "", ran["message"]
    # The input of the first layer has no gradient, all others share the second graph.
    assert (ran["graphs"], ran["frames"]) == (2, {"total": 2, "ok": 2})
    assert ran["breaks"] == {}
    assert ran["losses"] == pytest.approx(default, rel=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{}, NF4], ids=["bfloat16", "nf4"])
def test_hybrid_sharding_trains_as_full_sharding(make_config, tmp_path, changed):
    same = {"training": {"batchSize": 1}, **changed}
    full = make_config("uid-1", "full", **same)
    hybrid = make_config("uid-2", "hybrid", fsdp={"sharding": "hybrid"}, workers={"nodes": 2}, **same)
    expected = _losses(full, 4, tmp_path / "full")
    assert _losses(hybrid, 4, tmp_path / "hybrid", ranks_per_node=2) == pytest.approx(expected, rel=1e-3)
