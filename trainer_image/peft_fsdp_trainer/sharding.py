"""How the loaded model is spread over the ranks with FSDP2. Called by `train` and, layer by layer, by `loading`.

`full`, `hybrid` and `none` are one code path: a mesh of ranks that replicate times ranks that shard. `none` is the
mesh in which nothing is sharded; its gradients are averaged by the same machinery.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint

from peft_fsdp_api.spec import FsdpSpec

from .distributed import Ranks
from .errors import Unsupported
from .model import Skeleton
from .precision import Precision


@dataclass(frozen=True)
class Sharding:
    """What `fully_shard` is called with."""

    mesh: DeviceMesh
    spec: FsdpSpec
    precision: MixedPrecisionPolicy
    offload: OffloadPolicy
    compile: bool

    @property
    def words(self) -> str:
        """What is sharded and replicated, for log and card."""
        shards = self.mesh.size(self.mesh.ndim - 1)
        replicas = self.mesh.size() // shards
        return f"fully_shard over {shards} ranks, {replicas} replicas"

    def shard_layer(self, layer: nn.Module) -> None:
        """Prepare and shard one decoder layer that has its weights."""
        if self.compile:
            # The forward alone: FSDP's hooks, which gather and free, stay outside of the graph.
            layer.forward = torch.compile(layer.forward)
        if self.spec.activation_checkpointing:
            _recompute_activations(layer)
        if self.spec.activation_offload:
            _offload_activations(layer, pin=self.mesh.device_type == "cuda")
        self.shard(layer, reshard=self.spec.reshard_after_forward)

    def shard_root(self, skeleton: Skeleton, root: nn.Module) -> None:
        """Shard what is left: the embedding on its own, so that it is free between its use and the end of the step,
        and the output head with the root, which stays gathered from the loss to its gradient."""
        embedding = skeleton.causal.get_input_embeddings()
        tied = skeleton.causal.config.tie_word_embeddings
        if isinstance(embedding, nn.Embedding) and not tied:
            self.shard(embedding, reshard=True)
        self.shard(root)

    def shard(self, module: nn.Module, reshard: bool | None = None) -> None:
        """Shard what is not sharded yet below a module. None keeps the root gathered between forward and backward."""
        fully_shard(
            module,
            mesh=self.mesh,
            reshard_after_forward=reshard,
            mp_policy=self.precision,
            offload_policy=self.offload,
        )


def plan_sharding(spec: FsdpSpec, precision: Precision, ranks: Ranks, compile_layers: bool) -> Sharding:
    """The mesh and the policies of a run.

    Raises:
        Unsupported: hybrid sharding with a number of ranks that the nodes do not share evenly.
    """
    offload: OffloadPolicy = OffloadPolicy()
    if spec.cpu_offload:
        offload = CPUOffloadPolicy(pin_memory=ranks.device.type == "cuda")
    casts = precision.fsdp_casts
    return Sharding(
        mesh=_mesh(spec, ranks),
        spec=spec,
        precision=MixedPrecisionPolicy(
            param_dtype=precision.compute if casts else None, reduce_dtype=torch.float32 if casts else None
        ),
        offload=offload,
        compile=compile_layers,
    )


def _mesh(spec: FsdpSpec, ranks: Ranks) -> DeviceMesh:
    device, world = ranks.device.type, ranks.world_size
    if spec.sharding == "full":
        return init_device_mesh(device, (world,), mesh_dim_names=("shard",))
    shards = ranks.local_world_size if spec.sharding == "hybrid" else 1
    if world % shards:
        raise Unsupported(f"hybrid sharding needs the same number of ranks on each node; {world} ranks, {shards} here")
    return init_device_mesh(device, (world // shards, shards), mesh_dim_names=("replicate", "shard"))


def _recompute_activations(layer: nn.Module) -> None:
    """Keep only the layer's input; FSDP gathers the weights before the recomputation as it does for the forward."""
    layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


def _offload_activations(layer: nn.Module, pin: bool) -> None:
    """Move what the backward pass needs of the layer to host memory until then."""
    layer.forward = _on_host(layer.forward, pin)


def _on_host(forward: Callable[..., Any], pin: bool) -> Callable[..., Any]:
    @wraps(forward)
    def run(*inputs: Any, **named: Any) -> Any:
        with torch.autograd.graph.save_on_cpu(pin_memory=pin):
            return forward(*inputs, **named)

    return run


def held_bytes(module: nn.Module) -> int:
    """Bytes of the parameters that this rank holds: its shards, and what is not sharded."""
    total = 0
    for parameter in module.parameters():
        local = parameter.to_local() if isinstance(parameter, DTensor) else parameter
        total += local.numel() * local.element_size()
    return total
