"""A layer that would run uncompiled ends the run instead of slowing it down."""

from functools import partial

import pytest
import torch
from torch import nn

from peft_fsdp_trainer import compiling
from peft_fsdp_trainer.errors import Unsupported


class Layer(nn.Module):
    def forward(self, states, kind):
        return states * len(kind)


def test_more_graphs_than_allowed_are_refused_by_name(monkeypatch):
    """A text is a constant of the graph, so each needs another one."""
    from torch._dynamo import config

    monkeypatch.setattr(compiling, "GRAPHS", 3)
    with config.patch(recompile_limit=8, fail_on_recompile_limit_hit=False), monkeypatch.context() as patched:
        patched.setattr(torch, "compile", partial(torch.compile, backend="eager"))
        layer = Layer()
        compiling.compile_layer(layer)
        assert [float(layer.forward(torch.ones(()), kind)) for kind in ("a", "bb", "ccc")] == [1.0, 2.0, 3.0]
        with pytest.raises(Unsupported, match="compile is true, but Layer needs more than 3 graphs") as caught:
            layer.forward(torch.ones(()), "dddd")
    assert "training.compile to false" in caught.value.hint
