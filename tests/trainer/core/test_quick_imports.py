"""A rank imports what it runs: torch's compiler stays out, and is there for `training.compile` all the same."""

from tests.trainer.core.gang import run_ranks


def imported() -> dict[str, bool]:
    import gc
    import sys

    import torch

    return {
        "bitsandbytes": "bitsandbytes" in sys.modules,
        "compiler": "torch._inductor.compile_fx" in sys.modules,
        "collects": gc.isenabled(),
        "compiles": torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item() == 2
        and torch.compile.__module__ == "torch",
    }


def test_a_rank_holds_no_compiler_but_can_compile(tmp_path):
    found = run_ranks(imported, 1, tmp_path)[0].value
    assert found == {"bitsandbytes": True, "compiler": False, "collects": True, "compiles": True}
