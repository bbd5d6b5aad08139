"""Work on a tensor that the ranks share out: each reads and converts its part, then all have the whole.

Called by `quantize` and `loading`. Without it every rank would read, and quantize, every layer of the base.
"""

from dataclasses import dataclass
from typing import Self

import torch
import torch.distributed as dist


@dataclass(frozen=True)
class Share:
    """This rank's part of `length` units; all parts but the last ones have the same size."""

    length: int
    size: int
    """Units per rank, the last rank's padding included."""
    start: int
    end: int
    ranks: int

    @classmethod
    def of(cls, length: int) -> Self:
        """The part of this rank among the ranks of the run; the whole where there is no group of ranks."""
        joined = dist.is_initialized()
        rank, world_size = (dist.get_rank(), dist.get_world_size()) if joined else (0, 1)
        size = -(-length // world_size)
        start, end = min(rank * size, length), min((rank + 1) * size, length)
        return cls(length, size, start, end, ranks=world_size)

    def gather(self, part: torch.Tensor) -> torch.Tensor:
        """The parts of all ranks in order. `part` is flat and padded: a whole number of elements for each of `size`
        units. Every rank must call it."""
        # Not where a share is as long as the whole: one unit is the share of one of several ranks.
        if self.ranks == 1 or self.length == 0:
            return part
        whole = part.new_empty(part.numel() * self.ranks)
        dist.all_gather_into_tensor(whole, part)
        return whole


def spread(stored: torch.Tensor, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """A stored tensor in full on the device. Host memory can map the file, so that only what is kept is ever read; a
    GPU gets it in shares over the ranks' own links, and no rank reads all of the file. Every rank must call it."""
    return stored.to(dtype) if device.type == "cpu" else gathered(stored, dtype, device)


def gathered(stored: torch.Tensor, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """A tensor of which each rank reads and casts its share only."""
    flat = stored.reshape(-1)
    share = Share.of(flat.numel())
    part = torch.zeros(share.size, dtype=dtype, device=device)
    part[: share.end - share.start] = flat[share.start : share.end].to(device, dtype)
    return share.gather(part)[: flat.numel()].view(stored.shape)
