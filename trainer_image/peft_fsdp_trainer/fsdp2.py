"""FSDP2: every parameter is sharded on its own and stays the parameter that it was. Chosen by `sharding`."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, OffloadPolicy, fully_shard

from peft_fsdp_api.spec import FsdpSpec

from .activations import handle_activations
from .compiling import compile_layer
from .model import Skeleton
from .trained import TrainedTensor


@dataclass(frozen=True)
class FullyShard:
    """What `fully_shard` is called with; implements `sharding.Sharding`."""

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

    @property
    def reshards_within_step(self) -> bool:
        """Every backward pass frees what it gathered, also where its gradients are kept back."""
        return True

    def shard_layer(self, layer: nn.Module) -> nn.Module:
        """Prepare and shard one decoder layer that has its weights."""
        if self.compile:
            compile_layer(layer)
        handle_activations(layer, self.spec, self.mesh.device_type)
        return self._shard(layer, reshard=self.spec.reshard_after_forward)

    @contextlib.contextmanager
    def gathered(self, layer: nn.Module) -> Iterator[None]:
        """The weights of a sharded layer, in full."""
        assert isinstance(layer, FSDPModule)
        layer.unshard()
        yield
        layer.reshard()

    def shard_root(self, skeleton: Skeleton, root: nn.Module) -> nn.Module:
        """Shard what is left: the embedding on its own, so that it is free between its use and the end of the step,
        and the output head with the root, which stays gathered from the loss to its gradient."""
        embedding = skeleton.causal.get_input_embeddings()
        tied = skeleton.causal.config.tie_word_embeddings
        if isinstance(embedding, nn.Embedding) and not tied:
            self._shard(embedding, reshard=True)
        return self._shard(root)

    def trained_tensors(self, skeleton: Skeleton) -> list[TrainedTensor]:
        """The parameters with a gradient."""
        named = skeleton.peft.named_parameters()
        return [TrainedTensor(name, value, value.shape) for name, value in named if value.requires_grad]

    def accumulating(self, model: nn.Module, last: bool) -> contextlib.AbstractContextManager[None]:
        """Gradients go to the other ranks after the last batch of a step, not before."""
        cast("FSDPModule", model).set_requires_gradient_sync(last)
        return contextlib.nullcontext()

    def forget(self, model: nn.Module) -> None:
        """Nothing holds it but Python objects, whose cycles are found."""

    def _shard(self, module: nn.Module, reshard: bool | None = None) -> nn.Module:
        """Shard what is not sharded yet below a module. None keeps the root gathered between forward and backward."""
        fully_shard(
            module,
            mesh=self.mesh,
            reshard_after_forward=reshard,
            mp_policy=self.precision,
            offload_policy=self.offload,
        )
        return module
