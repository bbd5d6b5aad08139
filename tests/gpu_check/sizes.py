"""The random Llamas that can be trained here. Used by `__main__` and `inputs`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

GIB: Final = 2**30


@dataclass(frozen=True)
class Size:
    """A Llama, and how long it is trained."""

    name: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_value_heads: int
    gpu_bytes: int
    """Memory of one GPU on which the baseline, which loads the 16-bit run's base in float32, still fits."""
    host_bytes: int
    """Free host memory for each process: every process of the baseline loads the whole base."""
    vocabulary: int = 32000
    steps: int = 16
    flags: Mapping[str, str] | None = None
    """Flags of the guide that have another value at this size."""


SIZES: Final = {
    size.name: size
    for size in (
        Size("1b", 2048, 8192, 16, 32, 8, gpu_bytes=0, host_bytes=0),
        Size("3b", 3072, 8192, 28, 24, 8, gpu_bytes=38 * GIB, host_bytes=16 * GIB),
        Size("8b", 4096, 14336, 32, 32, 8, gpu_bytes=78 * GIB, host_bytes=36 * GIB),
    )
}

TINY: Final = Size(
    "tiny",
    64,
    128,
    2,
    4,
    2,
    gpu_bytes=0,
    host_bytes=0,
    vocabulary=2048,
    steps=4,
    flags={
        "--max_seq_len": "64",
        "--per_device_train_batch_size": "2",
        "--gradient_accumulation_steps": "2",
    },
)


def largest_that_fits(gpu_bytes: int, host_bytes: int) -> Size:
    """The largest size for GPUs of this memory, and this free host memory for each process."""
    fitting = (size for size in SIZES.values() if size.gpu_bytes <= gpu_bytes and size.host_bytes <= host_bytes)
    return max(fitting, key=lambda size: size.gpu_bytes)
