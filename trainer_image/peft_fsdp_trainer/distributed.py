"""The group of ranks: joining it, and the few small exchanges that keep the ranks in step. Used all over the trainer.

Small host-side values always travel over gloo, so that asking "how many tokens, does anyone want to stop" never makes
a GPU wait. Big tensors go through FSDP's own collectives.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

import torch
import torch.distributed as dist

from peft_fsdp_api.names import ENV_MASTER_ADDR, ENV_MASTER_PORT

from .errors import RendezvousFailed, TrainerError, Unsupported

# Rank 0 may download or tokenize for a long time while the others wait in a collective.
COLLECTIVE_TIMEOUT: Final = timedelta(minutes=30)

PORT_TAKEN_HINT: Final = (
    "Another program listens on this port beside rank 0, such as a sidecar of its pod: take it away."
)

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process among all processes of the run."""

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int
    device: torch.device
    background: dist.ProcessGroup
    """A gloo group of its own for work that runs beside the training, such as writing a checkpoint."""

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which writes what is written once."""
        return self.rank == 0

    @property
    def is_first_on_node(self) -> bool:
        """Whether this is the first rank of its machine."""
        return self.local_rank == 0

    @property
    def device_name(self) -> str:
        """The device in words."""
        return torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU"

    def sum(self, values: Sequence[float]) -> list[float]:
        """The sum over all ranks of each value."""
        total = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(total)
        return [float(value) for value in total]

    def barrier(self) -> None:
        """Wait until every rank is here."""
        self.sum([0.0])

    def gather(self, answer: T) -> list[T]:
        """The answer of every rank, by rank."""
        answers: list[Any] = [None] * self.world_size
        dist.all_gather_object(answers, answer)
        return answers

    def decide(self, question: Callable[[], T], group: dist.ProcessGroup | None = None) -> T:
        """The answer of rank 0, on every rank. A TrainerError that rank 0 raises is raised everywhere.

        `group` is `background` for a question that is asked beside the training.
        """
        answer: list[Any] = [None]
        if self.is_first:
            try:
                answer = [question()]
            except TrainerError as error:
                answer = [error]
        dist.broadcast_object_list(answer, src=0, group=group, device=torch.device("cpu"))
        if isinstance(answer[0], TrainerError):
            raise answer[0]
        result: T = answer[0]
        return result


def join_ranks(device_type: str, timeout: timedelta = COLLECTIVE_TIMEOUT) -> Ranks:
    """Meet the other ranks at the address in the environment.

    Raises:
        RendezvousFailed: they did not all come.
        Unsupported: the config says cuda, and this process sees no such device.
    """
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    device = _own_device(device_type, local_rank)
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo", timeout=timeout)
    except (dist.DistNetworkError, dist.DistStoreError) as error:
        where = f"{os.environ.get(ENV_MASTER_ADDR)}:{os.environ.get(ENV_MASTER_PORT)}"
        hint = PORT_TAKEN_HINT if "EADDRINUSE" in str(error) else None
        raise RendezvousFailed(f"the ranks did not meet at {where}: {error}", hint=hint) from error
    background = dist.new_group(backend="gloo", timeout=timeout)
    assert isinstance(background, dist.ProcessGroup)
    return Ranks(
        rank=dist.get_rank(),
        world_size=dist.get_world_size(),
        local_rank=local_rank,
        local_world_size=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        device=device,
        background=background,
    )


def _own_device(device_type: str, local_rank: int) -> torch.device:
    if device_type == "cpu":
        return torch.device("cpu")
    visible = torch.cuda.device_count()
    if local_rank >= visible:
        raise Unsupported(
            f"local rank {local_rank} needs a GPU of its own, but this process sees {visible}",
            hint="Check workers.gpusPerNode, the GPU driver of the node, the device plugin, and whether GPUs need "
            "workers.runtimeClassName here.",
        )
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device
