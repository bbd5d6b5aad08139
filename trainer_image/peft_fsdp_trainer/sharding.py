"""How the loaded model is spread over the ranks. Called by `train` and, layer by layer, by `loading`.

`full`, `hybrid` and `none` are one code path: a mesh of ranks that replicate times ranks that shard. `none` is the
mesh in which nothing is sharded; its gradients are averaged by the same machinery.
"""

import contextlib
from typing import Protocol

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import (
    CPUOffloadPolicy,
    MixedPrecision,
    MixedPrecisionPolicy,
    OffloadPolicy,
)
from torch.distributed.tensor import DTensor

from peft_fsdp_api.spec import FsdpSpec

from .distributed import Ranks
from .errors import Unsupported
from .fsdp1 import FlatSharding
from .fsdp2 import FullyShard
from .model import Skeleton
from .precision import Precision
from .trained import TrainedTensor


class Sharding(Protocol):
    """One way to spread a model over the ranks, with everything about it that other modules need."""

    @property
    def words(self) -> str:
        """What is sharded and replicated, for log and card."""

    @property
    def reshards_within_step(self) -> bool:
        """Whether the adapter is sharded between two batches of a step, as it must be where it is saved."""

    def shard_layer(self, layer: nn.Module) -> nn.Module:
        """Prepare and shard one decoder layer that has its weights; returns what takes its place."""

    def gathered(self, layer: nn.Module) -> contextlib.AbstractContextManager[None]:
        """The frozen weights of a layer that `shard_layer` returned, in full on every rank, until the end."""

    def shard_root(self, skeleton: Skeleton, root: nn.Module) -> nn.Module:
        """Shard what is left once all layers are sharded; returns the model to call."""

    def trained_tensors(self, skeleton: Skeleton) -> list[TrainedTensor]:
        """The tensors with a gradient, once the model is sharded."""

    def accumulating(self, model: nn.Module, last: bool) -> contextlib.AbstractContextManager[None]:
        """Surrounds forward and backward of one batch of a step; only after the `last` are gradients exchanged."""

    def forget(self, model: nn.Module) -> None:
        """Let go of the model, so that it is freed once nothing else points to it. It cannot be used any more."""


def plan_sharding(spec: FsdpSpec, precision: Precision, ranks: Ranks, compile_layers: bool) -> Sharding:
    """The mesh and the policies of a run.

    Raises:
        Unsupported: hybrid sharding with a number of ranks that the nodes do not share evenly.
    """
    mesh = _mesh(spec, ranks, ranks.device.type)
    if spec.version == 1:
        return FlatSharding(
            mesh=mesh,
            storage_mesh=_mesh(spec, ranks, "cpu") if spec.cpu_offload else mesh,
            spec=spec,
            precision=MixedPrecision(precision.compute, torch.float32, cast_forward_inputs=True),
            device=ranks.device,
        )
    offload: OffloadPolicy = OffloadPolicy()
    if spec.cpu_offload:
        offload = CPUOffloadPolicy(pin_memory=ranks.device.type == "cuda")
    return FullyShard(
        mesh=mesh,
        spec=spec,
        precision=MixedPrecisionPolicy(precision.compute, torch.float32),
        offload=offload,
        compile=compile_layers,
    )


def _mesh(spec: FsdpSpec, ranks: Ranks, device: str) -> DeviceMesh:
    world = ranks.world_size
    if spec.sharding == "full":
        return init_device_mesh(device, (world,), mesh_dim_names=("shard",))
    shards = ranks.local_world_size if spec.sharding == "hybrid" else 1
    if world % shards:
        raise Unsupported(f"hybrid sharding needs the same number of ranks on each node; {world} ranks, {shards} here")
    return init_device_mesh(device, (world // shards, shards), mesh_dim_names=("replicate", "shard"))


def held_bytes(module: nn.Module) -> int:
    """Bytes of the parameters that this rank holds: its shards, and what is not sharded."""
    total = 0
    for parameter in module.parameters():
        local = parameter.to_local() if isinstance(parameter, DTensor) else parameter
        # FSDP1 leaves views behind whose memory is given back: they are as big as ever and hold nothing.
        total += min(local.numel() * local.element_size(), local.untyped_storage().nbytes())
    return total
