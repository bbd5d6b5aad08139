"""Brings the libraries of a rank into memory without two things that cost a third of the time. Called by `rank`.

Every rank of every pod starts with this, and the ranks of a node share its cores.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .library_noise import silence_known_noise


@contextmanager
def quick_imports() -> Iterator[None]:
    """Surrounds the imports of torch, transformers, PEFT and bitsandbytes, and keeps them quiet.

    The collector would look through half a million new objects again and again, all of which stay. bitsandbytes hands
    functions to torch.compile that neither its kernels for CPUs nor those for GPUs call, and which are there
    uncompiled as well: each process would import all of torch's compiler for them.
    """
    gc.disable()
    try:
        silence_known_noise()
        _import_bitsandbytes()
        yield
    finally:
        gc.enable()


def _import_bitsandbytes() -> None:
    import torch

    compile_with_torch = torch.compile
    torch.compile = _leave_uncompiled  # type: ignore[assignment]
    try:
        import bitsandbytes  # noqa: F401
    finally:
        torch.compile = compile_with_torch


def _leave_uncompiled(function: Any = None, **_named: Any) -> Any:
    """What torch.compile returns, as a decorator with and without arguments."""
    as_it_is: Callable[[Any], Any] = lambda given: given  # noqa: E731
    return as_it_is if function is None else function
