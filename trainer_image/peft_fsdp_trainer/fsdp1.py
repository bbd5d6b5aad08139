"""FSDP1, the compatible mode (`fsdp.version: 1`): all weights of a unit lie flat in one buffer. Chosen by `sharding`.

A flat buffer has one number type and one answer to "is it trained". So every trained tensor is a unit of its own, as
in PEFT's wrapping policy, and the frozen rest of a decoder layer is one unit.
"""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, cast

import torch
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import (
    BackwardPrefetch,
    CPUOffload,
    FullyShardedDataParallel,
    MixedPrecision,
    ShardingStrategy,
)
from torch.distributed.tensor import DTensor, Replicate, Shard

from peft_fsdp_api.spec import FsdpSpec

from .activations import handle_activations
from .errors import Unsupported
from .model import Skeleton
from .precision import ADAPTER_TYPE
from .quantize import store_as
from .trained import TrainedTensor

WRAPPED: Final = "_fsdp_wrapped_module."
INSTEAD: Final = "Take it out of lora.targets and lora.modulesToSave, or use fsdp.version 2."


@dataclass(frozen=True)
class FlatTensor(TrainedTensor):
    """A trained tensor whose parameter is its elements in a row, cut evenly over the ranks and padded at the end."""

    mesh: DeviceMesh
    """Ranks of this tensor; its last dimension shards. On the device where the shards lie between the steps."""

    def sharded(self, part: torch.Tensor) -> torch.Tensor:
        """The part without its padding, in a row of all elements."""
        own = part.detach()
        axis = self.mesh.ndim - 1
        shards, numel = self.mesh.size(axis), self.shape.numel()
        if shards == 1:
            return own
        each = -(-numel // shards)
        here = min(max(numel - each * self.mesh.get_local_rank(axis), 0), each)
        placements = [*[Replicate()] * axis, Shard(0)]
        whole = torch.Size([numel])
        return DTensor.from_local(own[:here], self.mesh, placements, run_check=False, shape=whole, stride=(1,))


@dataclass(frozen=True)
class FlatSharding:
    """What FullyShardedDataParallel is called with; implements `sharding.Sharding`."""

    mesh: DeviceMesh
    storage_mesh: DeviceMesh
    """The same ranks, on the device where the shards lie between the steps."""
    spec: FsdpSpec
    precision: MixedPrecision
    device: torch.device

    @property
    def words(self) -> str:
        """What is sharded and replicated, for log and card."""
        strategy = self._strategy(self.spec.reshard_after_forward).name.lstrip("_")
        return f"FSDP1 {strategy} over {self._shards} ranks, {self.mesh.size() // self._shards} replicas"

    @property
    def reshards_within_step(self) -> bool:
        """FSDP1 keeps what is not resharded after the forward pass until the step's last batch."""
        return False

    @property
    def _shards(self) -> int:
        return self.mesh.size(self.mesh.ndim - 1)

    def shard_layer(self, layer: nn.Module) -> nn.Module:
        """Prepare one decoder layer that has its weights, and wrap it. Raises Unsupported."""
        assert self.precision.param_dtype is not None
        store_as(layer, self.precision.param_dtype)
        handle_activations(layer, self.spec, self.device.type)
        # DoRA runs both factors twice: on the input and on a unit matrix.
        dora = [module for module in layer.modules() if isinstance(module, LoraLayer) and module.lora_magnitude_vector]
        repeated = {part for module in dora for part in (*module.lora_A.modules(), *module.lora_B.modules())}
        self._wrap_trained(layer, self.spec.reshard_after_forward, repeated)
        return self._wrap(layer, self.spec.reshard_after_forward, self.precision)

    @contextlib.contextmanager
    def gathered(self, layer: nn.Module) -> Iterator[None]:
        """The frozen weights of a wrapped layer, in full. By hand: FSDP1 gathers nothing before its root is known."""
        assert isinstance(layer, FullyShardedDataParallel)
        [flat] = layer.module.parameters(recurse=False)
        shapes: list[torch.Size] = flat._shapes  # type: ignore[attr-defined]
        sizes = [shape.numel() for shape in shapes]
        whole = FlatTensor("", flat, torch.Size([sum(sizes)]), self.storage_mesh).full().to(self.device)
        places = [(module, key) for key, module, _ in flat._param_infos]  # type: ignore[attr-defined]
        freed = [getattr(module, key) for module, key in places]
        for (module, key), part, shape in zip(places, torch.split(whole, sizes), shapes, strict=True):
            setattr(module, key, part.view(shape))
        yield
        for (module, key), view in zip(places, freed, strict=True):
            # bitsandbytes makes a parameter of a weight that it uses.
            delattr(module, key)
            setattr(module, key, view)

    def shard_root(self, skeleton: Skeleton, root: nn.Module) -> nn.Module:
        """Wrap what is left. Raises Unsupported.

        What is trained outside of the layers stays gathered from its first use to its gradient, like the root: a
        trained head runs once per chunk of the loss, and ranks may have different numbers of chunks.
        """
        embedding = skeleton.causal.get_input_embeddings()
        tied = skeleton.causal.config.tie_word_embeddings
        self._wrap_trained(root, reshard=False, repeated=set(skeleton.head.modules()))
        if isinstance(embedding, nn.Embedding) and not tied:
            skeleton.causal.set_input_embeddings(self._wrap(embedding, True, self.precision))
        return self._wrap(root, True, self.precision)

    def trained_tensors(self, skeleton: Skeleton) -> list[TrainedTensor]:
        """The flat parameters with a gradient, each of which is one tensor."""
        found: list[TrainedTensor] = []
        for path, module in skeleton.peft.named_modules():
            if not isinstance(module, FullyShardedDataParallel):
                continue
            for flat in module.module.parameters(recurse=False):
                if flat.requires_grad:
                    # torch documents these two on FlatParameter, but types no getter for them.
                    [key], [shape] = flat._fqns, flat._shapes  # type: ignore[attr-defined]
                    name = f"{path}.{key}".replace(WRAPPED, "")
                    found.append(FlatTensor(name, flat, shape, self.storage_mesh))
        return found

    def accumulating(self, model: nn.Module, last: bool) -> contextlib.AbstractContextManager[None]:
        """Gradients are summed up in full on each rank and exchanged after the last batch of a step."""
        if last:
            return contextlib.nullcontext()
        return cast("FullyShardedDataParallel", model).no_sync()

    def forget(self, model: nn.Module) -> None:
        """Cut a cycle that Python cannot see: a flat parameter names its modules, whose weights are views of it."""
        for flat in model.parameters():
            vars(flat).clear()

    def _wrap_trained(self, root: nn.Module, reshard: bool, repeated: set[nn.Module]) -> None:
        """Give each trained tensor below `root`, outside of what is wrapped already, a unit of its own.

        The `repeated` ones run more than once in a forward pass. They compute in the type they are stored in: as a
        flat parameter changes its type, autograd forgets the hook by which FSDP learns of its gradient.
        """
        lasting = replace(self.precision, param_dtype=ADAPTER_TYPE, cast_forward_inputs=False)
        for path, parent in list(root.named_modules()):
            if isinstance(parent, FullyShardedDataParallel):
                continue
            if isinstance(parent, LoraLayer):
                # FSDP casts the input. PEFT would cast it to the type of a weight that is not gathered yet, which
                # is another one in the first forward pass than in its recomputation.
                parent.cast_input_dtype_enabled = False
            for name, child in list(parent.named_children()):
                if any(parameter.requires_grad for parameter in child.parameters(recurse=False)):
                    _check_single(f"{path}.{name}", child)
                    if child in repeated:
                        # FSDP casts no input of a unit whose backward pass has begun, as with a head's second chunk.
                        child.register_forward_pre_hook(_cast_input)
                    precision = lasting if child in repeated else self.precision
                    setattr(parent, name, self._wrap(child, reshard, precision))

    def _wrap(self, module: nn.Module, reshard: bool, precision: MixedPrecision) -> FullyShardedDataParallel:
        strategy = self._strategy(reshard)
        hybrid = strategy in (ShardingStrategy.HYBRID_SHARD, ShardingStrategy._HYBRID_SHARD_ZERO2)
        with warnings.catch_warnings():
            # torch would rather have us use DistributedDataParallel: a third way to do what `fsdp.version: 2` does.
            warnings.filterwarnings("ignore", message="The `NO_SHARD` sharding strategy is deprecated")
            return FullyShardedDataParallel(
                module,
                process_group=(self.mesh.get_group("shard"), self.mesh.get_group("replicate")) if hybrid else None,
                sharding_strategy=strategy,
                cpu_offload=CPUOffload(offload_params=self.spec.cpu_offload),
                backward_prefetch=BackwardPrefetch.BACKWARD_PRE,
                mixed_precision=precision,
                device_id=self.device,
                use_orig_params=False,
            )

    def _strategy(self, reshard: bool) -> ShardingStrategy:
        if self._shards == 1:
            return ShardingStrategy.NO_SHARD
        if self._shards < self.mesh.size():
            return ShardingStrategy.HYBRID_SHARD if reshard else ShardingStrategy._HYBRID_SHARD_ZERO2
        return ShardingStrategy.FULL_SHARD if reshard else ShardingStrategy.SHARD_GRAD_OP


def _cast_input(_module: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    return (inputs[0].to(ADAPTER_TYPE),)


def _check_single(name: str, module: nn.Module) -> None:
    """One flat parameter must be one tensor: a weight decays, its bias does not, and a checkpoint keeps them apart."""
    if isinstance(module, nn.ParameterDict | nn.ParameterList):
        raise Unsupported(f"{name.lstrip('.')}: FSDP1 never gathers an adapter on an embedding", hint=INSTEAD)
    tensors = [key for key, _ in module.named_parameters()]
    if len(tensors) > 1:
        raise Unsupported(f"{name.lstrip('.')}: FSDP1 cannot keep {', '.join(tensors)} apart", hint=INSTEAD)
