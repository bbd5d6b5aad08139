"""Writes a safetensors file tensor by tensor; the library's `save_file` wants all of them in memory. Used by `merge`.

Format: 8 bytes with the length of the header, the header as JSON, which spaces may fill up, then the tensors' bytes.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import torch

NAMES: Final = {torch.bfloat16: "BF16", torch.float16: "F16", torch.float32: "F32"}
ALIGNMENT: Final = 8
ENTRY_BYTES: Final = 200
"""More than a tensor's entry in the header takes beside its name."""


def write_tensors(path: Path, names: list[str], tensors: Iterable[torch.Tensor]) -> None:
    """Write the tensors, which may be made one after the other, under their names in the same order."""
    # Shapes are known when the tensors are there, so room is left for the header that stands before them.
    room = len(json.dumps(names).encode()) + ENTRY_BYTES * (len(names) + 1)
    room += -room % ALIGNMENT
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    with path.open("wb") as file:
        file.seek(8 + room)
        for name, tensor in zip(names, tensors, strict=True):
            content = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy()
            header[name] = {
                "dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [end, end + content.nbytes],
            }  # fmt: skip
            end += content.nbytes
            file.write(content.data)
        file.seek(0)
        file.write(room.to_bytes(8, "little") + json.dumps(header).encode().ljust(room))
