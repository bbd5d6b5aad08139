"""What a rank of `rank_forks` does to itself before it runs, where no input brings a cause about on this machine.

Named in the environment of an attempt (`provoked`); everything else of the run is as always.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from tests.bench.rank_forks import BEFORE

SHORT: Final = timedelta(seconds=8)
OUT_OF_GPU_MEMORY: Final = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.02 GiB is free."
)


def provoked(cause: Callable[[], None]) -> dict[str, str]:
    """The environment in which every rank calls a function of this module first."""
    return {BEFORE: f"{__name__}:{cause.__name__}"}


def take_packed_values_for_numbers() -> None:
    """As in bitsandbytes#1945: the 4-bit values are stored as bfloat16, and FSDP casts them to the type it computes
    in."""
    import torch

    from peft_fsdp_trainer import train
    from peft_fsdp_trainer.fsdp2 import FullyShard
    from peft_fsdp_trainer.precision import Precision
    from peft_fsdp_trainer.quantize import store_as

    shard_layer = FullyShard.shard_layer

    def shard_numbers(self: FullyShard, layer: torch.nn.Module) -> torch.nn.Module:
        store_as(layer, torch.bfloat16)
        return shard_layer(self, layer)

    FullyShard.shard_layer = shard_numbers  # type: ignore[method-assign]
    train.choose_precision = lambda config: Precision(torch.float16)


def wait_seconds_in_collectives() -> None:
    """Instead of half an hour; more than a busy machine keeps one rank behind the other."""
    from peft_fsdp_trainer import distributed

    distributed.join_ranks.__defaults__ = (SHORT,)


def take_time_from_step_5_on() -> None:
    """So that what a test does at step 4 comes long before the end of the job."""
    import time

    from peft_fsdp_trainer.step import Stepper

    train = Stepper.train

    def train_slowly(self: Stepper, batches: Any, loss_tokens: float, scale: Any, step: int, between: Any) -> Any:
        if step > 4:
            time.sleep(0.5)
        return train(self, batches, loss_tokens, scale, step, between)

    Stepper.train = train_slowly  # type: ignore[method-assign]


def use_up_a_gpu_in_step_3() -> None:
    """What torch raises when a GPU has no room, in rank 1."""
    import torch

    from peft_fsdp_trainer.step import Stepper

    train = Stepper.train

    def train_until_3(self: Stepper, batches: Any, loss_tokens: float, scale: Any, step: int, between: Any) -> Any:
        if step == 3 and self.ranks.rank == 1:
            raise torch.OutOfMemoryError(OUT_OF_GPU_MEMORY)
        return train(self, batches, loss_tokens, scale, step, between)

    Stepper.train = train_until_3  # type: ignore[method-assign]


def use_up_a_gpu_while_loading() -> None:
    """What torch raises when the base does not fit, and it was not its own allocator that asked."""
    import torch

    from peft_fsdp_trainer.loading import Loader

    def load(self: Loader, *_: Any) -> None:
        raise torch.AcceleratorError("CUDA error: out of memory")

    Loader.load = load  # type: ignore[method-assign]
