"""What is trained: the base model, the adapter on it, its quantization and its sharding."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from ..schema import ApiModel, Rule
from ..text import VISIBLE, Described, Text

HUB_ID_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?"
Source = Annotated[
    str,
    Field(max_length=512),
    Text(rf"/{VISIBLE}+|{HUB_ID_PATTERN}", "a Hub id such as meta-llama/Llama-3.1-8B, or an absolute path"),
]
ModuleName = Annotated[
    str,
    Field(max_length=128),
    Text(r"[A-Za-z0-9_.-]+", "the name of a module such as q_proj"),
    Described("Name of a module."),
]

REVISION_NEEDS_HUB = Rule(
    cel='!has(self.revision) || !self.source.startsWith("/")',
    holds=lambda spec: spec.revision is None or not spec.source.startswith("/"),
    message='source is the path "{source}", which has no revisions; remove revision or give a Hub id',
    field="revision",
)


class ModelSpec(ApiModel):
    """The base model."""

    source: Source
    """Hub id (`meta-llama/Llama-3.1-8B`) or the absolute path of a model folder in a mounted volume."""
    revision: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """Branch, tag or commit of a Hub id. Without it the newest commit of the default branch."""
    attention: Literal["auto", "flash_attention_2", "sdpa", "flex_attention", "eager"] = "auto"
    """Attention kernel. `auto` takes flash attention where image, GPU, model and a precision of 16 bit allow it,
    otherwise `sdpa`; the log and the model card say which one ran, and why. A named kernel that is missing is an
    error."""
    trust_remote_code: bool = False
    """Allow Python code that comes with the model to run."""

    RULES: ClassVar = (REVISION_NEEDS_HUB,)


class LoraSpec(ApiModel):
    """The low-rank adapter."""

    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """Rank r of the two factors."""
    alpha: Annotated[int, Field(ge=1, le=65536)] = 32
    """Scaling numerator; the update is scaled by alpha / rank (alpha / sqrt(rank) for rslora)."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Dropout on the input of the adapter."""
    targets: Annotated[list[ModuleName], Field(min_length=1, max_length=64)] = ["all-linear"]
    """Names of the modules that get an adapter; `all-linear` stands for every linear layer but the output head."""
    variant: Literal["lora", "dora", "rslora"] = "lora"
    """Kind of the adapter: plain LoRA, weight-decomposed (DoRA) or rank-stabilised (rsLoRA)."""
    modules_to_save: Annotated[list[ModuleName], Field(max_length=16)] = []
    """Modules trained in full and saved with the adapter, such as `lm_head`."""

    RULES: ClassVar = (
        Rule(
            cel='!has(self.targets) || self.targets.size() == 1 || !("all-linear" in self.targets)',
            holds=lambda lora: len(lora.targets) == 1 or "all-linear" not in lora.targets,
            message='"all-linear" stands alone or not at all; remove it or the other names',
            field="targets",
        ),
    )


class QuantizationSpec(ApiModel):
    """4-bit storage of the frozen base weights (QLoRA)."""

    scheme: Literal["nf4"]
    """Number format. `nf4` is the only one that can be sharded; 8-bit bases cannot."""
    double_quant: bool = True
    """Quantize the quantization constants too: 0.37 bit less per parameter."""
    compute_dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """Type of the matrix products after dequantization."""
    storage_dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Float type that the packed 4-bit values are taken for with fsdp.version 1, which shards nothing else; version 2
    shards the bytes as they are."""


class FsdpSpec(ApiModel):
    """How parameters, gradients and optimizer state are spread over the ranks."""

    version: Literal[1, 2] = 2
    """2 is `fully_shard`; 1 is the compatible mode with the older FullyShardedDataParallel, on GPUs only."""
    sharding: Literal["full", "hybrid", "none"] = "full"
    """`full` shards over all ranks, `hybrid` within a node and replicates across nodes, `none` replicates."""
    cpu_offload: bool = False
    """Keep the shards in host memory and copy them to the GPU layer by layer; version 1 takes twice their size."""
    activation_checkpointing: bool = True
    """Recompute activations of each decoder layer in the backward pass."""
    activation_offload: bool = False
    """Keep the saved activations of each decoder layer in host memory."""
    reshard_after_forward: bool = True
    """Free the gathered parameters after each forward pass; false trades memory for one gather less."""

    RULES: ClassVar = (
        Rule(
            cel="{reshardAfterForward} || {sharding} != 'none'",
            holds=lambda fsdp: fsdp.reshard_after_forward or fsdp.sharding != "none",
            message='reshardAfterForward is {reshardAfterForward}, but sharding is "{sharding}", so nothing is '
            "gathered that could be freed; remove reshardAfterForward, or use sharding full or hybrid",
            field="reshardAfterForward",
        ),
    )
