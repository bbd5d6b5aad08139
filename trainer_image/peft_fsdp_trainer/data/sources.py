"""Opens one split of `spec.dataset`, wherever it lies. Called by `prepare` and `streaming`."""

from __future__ import annotations

from peft_fsdp_api.spec import DatasetSpec

from ..errors import DatasetInvalid
from . import hub, local
from .splits import Split
from .stream import Stream


def open_split(spec: DatasetSpec, wanted: str) -> Split:
    """The split called `wanted`, which may be sliced as in `train[:90%]`.

    Raises:
        DatasetInvalid: there is no such source or split, or the split is empty.
    """
    split = local.open_split(spec.source, wanted) if spec.source.startswith("/") else hub.open_split(spec, wanted)
    if not split.count:
        raise DatasetInvalid(f"split {wanted} of {spec.source} is empty", hint="Name a split that holds rows.")
    return split


def open_stream(spec: DatasetSpec, wanted: str) -> Stream:
    """The split called `wanted` to be read while training, sliced by numbers of rows at most.

    Raises:
        DatasetInvalid: there is no such source or split, or it cannot be read row by row.
    """
    return local.open_stream(spec.source, wanted) if spec.source.startswith("/") else hub.open_stream(spec, wanted)
