"""Datasets of the Hugging Face Hub, or of the mirror that `spec.hub.endpoint` names. Called by `sources`.

Downloads, their cache and offline use are the datasets library's own; it reads HF_HOME, HF_ENDPOINT, HF_TOKEN and
HF_HUB_OFFLINE, which the operator sets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
from huggingface_hub import is_offline_mode

from peft_fsdp_api.spec import DatasetSpec

from ..disk_space import tells_of_full_disk
from ..errors import DatasetInvalid, TrainerError
from ..hub_answer import NO_ACCESS_HINT, UNREACHABLE_HINT, answer_behind, denies_access
from .local import split_of_dataset
from .splits import LazyRow, LocatedRow, Split, split_name
from .stream import Stream, sliced_stream

T = TypeVar("T")

IDENTIFYING_PARTS = 4
"""Configuration, version, commit and file name: the end of the path of a file in the cache of the datasets library."""


def open_split(spec: DatasetSpec, wanted: str) -> Split:
    """The split called `wanted` of a dataset of the Hub; it is downloaded if it is not in the cache."""
    dataset = _load(spec, wanted)
    parts = [Path(entry["filename"]).parts[-IDENTIFYING_PARTS:] for entry in dataset.cache_files]
    identity = repr((spec.source, spec.name, spec.revision, wanted, len(dataset), parts))
    return split_of_dataset(dataset, wanted, hashlib.sha256(identity.encode()).hexdigest())


def open_stream(spec: DatasetSpec, wanted: str) -> Stream:
    """The split called `wanted`, read over the network while it is used; nothing is stored."""
    name = split_name(wanted)
    dataset = _asked(
        spec, lambda load: load(spec.source, spec.name, split=name, revision=spec.revision, streaming=True)
    )
    files = _asked(spec, lambda _: _data_files(spec, name))
    return sliced_stream(Stream(name, files, lambda: _rows(dataset, name)), wanted)


def _data_files(spec: DatasetSpec, name: str) -> str:
    """The files of a split with the commit they are read at; the number of shards where a script makes the rows."""
    from datasets import load_dataset_builder

    builder = load_dataset_builder(spec.source, spec.name, revision=spec.revision)
    files = (builder.config.data_files or {}).get(name, [])
    return hashlib.sha256(repr((builder.hash, [str(file) for file in files])).encode()).hexdigest()


def _rows(dataset: Any, name: str) -> Iterator[LazyRow]:
    """Rows as they come. What a file of the Hub holds wrongly shows while the library reads it: where is told as well
    as it is known, by the last row that came."""
    from datasets.exceptions import DatasetsError

    number = 0
    rows = iter(dataset)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except (ConnectionError, TimeoutError) as error:
            raise TrainerError(
                f"split {name} could not be read on behind row {number}: {error}",
                hint="The Hub or its mirror stopped answering; the next attempt goes on from the last checkpoint.",
            ) from error
        except (ValueError, DatasetsError) as error:
            raise DatasetInvalid(
                f"split {name} behind row {number}: {error}", hint="Correct the file, or leave the rows out."
            ) from error
        number += 1
        yield partial(_located, f"split {name} row {number}", row)


def _located(where: str, row: dict[str, Any]) -> LocatedRow:
    return where, row


def _load(spec: DatasetSpec, wanted: str) -> Any:
    return _asked(spec, lambda load: load(spec.source, name=spec.name, split=wanted, revision=spec.revision))


def _asked(spec: DatasetSpec, question: Callable[[Any], T]) -> T:
    """What the datasets library answers. That the disk is full comes out as it was met.

    Raises:
        DatasetInvalid: the dataset, or what the job wants of it, does not exist or may not be read.
        TrainerError: the Hub did not answer, or answered that it cannot.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError, DatasetsError

    try:
        return question(load_dataset)
    except DatasetNotFoundError as error:
        raise DatasetInvalid(
            f"dataset {spec.source} does not exist on the Hub or cannot be read: {error}",
            hint="Check dataset.source and dataset.revision; a private or gated dataset needs hub.tokenSecret.",
        ) from error
    except (ValueError, DatasetsError) as error:  # an unknown split or configuration; the message lists what exists
        if tells_of_full_disk(error):
            raise
        raise DatasetInvalid(
            f"dataset {spec.source}: {error}", hint="Correct dataset.name, dataset.trainSplit or dataset.evalSplit."
        ) from error
    except (ConnectionError, FileNotFoundError, httpx.HTTPError) as error:
        raise _nothing_delivered(spec, error) from error


def _nothing_delivered(spec: DatasetSpec, error: Exception) -> TrainerError:
    """Whether the same would happen next time: only trouble of the network or the Hub passes."""
    if is_offline_mode():
        return DatasetInvalid(
            f"dataset {spec.source} cannot be fetched: {error}",
            hint="Offline (hub.offline), the dataset must be in the cache (cache.claim) already.",
        )
    answer = answer_behind(error)
    if answer is not None and denies_access(answer):
        return DatasetInvalid(
            f"dataset {spec.source}: the Hub refuses the token or asks for one: {answer}", hint=NO_ACCESS_HINT
        )
    return TrainerError(f"the Hub did not deliver dataset {spec.source}: {answer or error}", hint=UNREACHABLE_HINT)
