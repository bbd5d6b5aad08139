"""What is wrong with a run is said in the words of the job, on every rank, before or at the step where it shows."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.trainer.core.conftest import make_base_model
from tests.trainer.core.gang import run_ranks, train_rank


@pytest.mark.parametrize(
    ("sections", "reason", "words"),
    [
        ({"model": {"source": "/nowhere/model"}}, "ModelNotAvailable", "/nowhere/model does not exist"),
        ({"lora": {"targets": ["no_such_module"]}}, "Unsupported", "no_such_module"),
        ({"dataset": {"source": "/nowhere/data"}}, "DatasetInvalid", "/nowhere/data"),
    ],
)
def test_a_bad_run_ends_with_its_reason(make_config, tmp_path, sections, reason, words):
    ended = run_ranks(train_rank, 1, tmp_path / "run", make_config(**sections))[0].value
    assert ended["reason"] == reason
    assert words in ended["message"]


def test_a_loss_that_is_not_finite_names_its_step_on_every_rank(make_config, tmp_path):
    base = make_base_model(tmp_path / "broken")
    shard = sorted(base.glob("*.safetensors"))[-1]
    tensors = load_file(shard)
    save_file({name: torch.full_like(value, torch.inf) for name, value in tensors.items()}, shard, {"format": "pt"})
    for ended in run_ranks(train_rank, 2, tmp_path / "run", make_config(model={"source": str(base)})):
        assert (ended.value["reason"], ended.value["step"]) == ("LossNotFinite", 1)
