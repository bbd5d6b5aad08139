"""Single tensors out of a model folder's safetensors files, without reading the rest. Used by `loading` and `merge`.

Files are memory-mapped: a tensor's pages are read when they are touched, and belong to the page cache, not to the rank.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open

from .errors import ModelNotAvailable

SINGLE_FILE: Final = "model.safetensors"
INDEX_FILE: Final = "model.safetensors.index.json"
COPY_AGAIN: Final = "Copy or download the model again: its files are not whole, or not those of its config.json."


@dataclass
class WeightFiles:
    """The tensors of a base model by name."""

    folder: Path
    files: dict[str, str]
    """Tensor name to file name."""

    def __post_init__(self) -> None:
        self._open: dict[str, Any] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.files

    def read(self, name: str) -> torch.Tensor:
        """The tensor as it is stored. Raises ModelNotAvailable where the files do not have it."""
        if name not in self.files:
            raise ModelNotAvailable(f"the model in {self.folder} has no tensor {name}", hint=COPY_AGAIN)
        return self._file(self.files[name]).get_tensor(name)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Unmap the files."""
        self._open.clear()

    def _file(self, name: str) -> Any:
        if name not in self._open:
            self._open[name] = _open(self.folder / name)
        return self._open[name]


def find_weights(folder: Path) -> WeightFiles:
    """The weights of a model folder, in one file or in several with an index.

    Raises:
        ModelNotAvailable: there are none, the index names a file that is missing, or a file is cut off.
    """
    index = folder / INDEX_FILE
    if index.is_file():
        files: dict[str, str] = json.loads(index.read_text())["weight_map"]
        missing = sorted({file for file in files.values() if not (folder / file).is_file()})
        if missing:
            raise ModelNotAvailable(f"{index} names files that are missing: {', '.join(missing)}", hint=COPY_AGAIN)
        return WeightFiles(folder, files)
    single = folder / SINGLE_FILE
    if not single.is_file():
        raise ModelNotAvailable(
            f"{folder} holds neither {SINGLE_FILE} nor {INDEX_FILE}",
            hint="Weights must be in safetensors format; convert pickle files with `save_pretrained`.",
        )
    return WeightFiles(folder, dict.fromkeys(_open(single).keys(), SINGLE_FILE))


def _open(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt", device="cpu")
    except SafetensorError as error:
        raise ModelNotAvailable(f"{path} cannot be read: {error}", hint=COPY_AGAIN) from error
