"""Datasets of the Hugging Face Hub, or of the mirror that `spec.hub.endpoint` names. Called by `sources`.

Downloads, their cache and offline use are the datasets library's own; it reads HF_HOME, HF_ENDPOINT, HF_TOKEN and
HF_HUB_OFFLINE, which the operator sets.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from peft_fsdp_api.spec import DatasetSpec

from ..errors import DatasetInvalid
from .local import split_of_dataset
from .splits import Split

IDENTIFYING_PARTS = 4
"""Configuration, version, commit and file name: the end of the path of a file in the cache of the datasets library."""


def open_split(spec: DatasetSpec, wanted: str) -> Split:
    """The split called `wanted` of a dataset of the Hub; it is downloaded if it is not in the cache."""
    dataset = _load(spec, wanted)
    parts = [Path(entry["filename"]).parts[-IDENTIFYING_PARTS:] for entry in dataset.cache_files]
    identity = repr((spec.source, spec.name, spec.revision, wanted, len(dataset), parts))
    return split_of_dataset(dataset, wanted, hashlib.sha256(identity.encode()).hexdigest())


def _load(spec: DatasetSpec, wanted: str) -> Any:
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError, DatasetsError

    try:
        return load_dataset(spec.source, name=spec.name, split=wanted, revision=spec.revision)
    except DatasetNotFoundError as error:
        raise DatasetInvalid(
            f"dataset {spec.source} does not exist on the Hub or cannot be read: {error}",
            hint="Check dataset.source and dataset.revision; a private or gated dataset needs hub.tokenSecret.",
        ) from error
    except ConnectionError as error:
        raise DatasetInvalid(
            f"dataset {spec.source} cannot be fetched: {error}",
            hint="Offline, the dataset must be in the cache (cache.claim) already; otherwise check hub.endpoint.",
        ) from error
    except (ValueError, DatasetsError) as error:  # an unknown split or configuration; the message lists what exists
        raise DatasetInvalid(
            f"dataset {spec.source}: {error}", hint="Correct dataset.name, dataset.trainSplit or dataset.evalSplit."
        ) from error
