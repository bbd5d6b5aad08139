"""Datasets that lie on a mounted volume: a file, a folder of files, or a folder written by `save_to_disk`.

Called by `sources`. A file is the split `train`. In a folder a file belongs to the split it is named after
(`train.jsonl`, `test-00000-of-00002.parquet`); files without such a name are the split `train`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from ..errors import DatasetInvalid
from .files import KINDS, content_hash, count_rows, is_json_list, lazy_rows, read_columns, read_rows
from .splits import LazyRow, LocatedRow, Split, sliced, split_name
from .stream import Stream, sliced_stream

SAVED_SPLITS, SAVED_STATE = "dataset_dict.json", "state.json"
NOT_DATA = frozenset({SAVED_SPLITS, SAVED_STATE, "dataset_info.json"})
_SHARD_NUMBER = re.compile(r"([-_.]\d+)?(-of-\d+)?$")
_SPLIT_WORD = re.compile(r"(train|test|validation|valid|val|eval|dev)([^a-z].*)?", re.IGNORECASE)


def open_split(source: str, wanted: str) -> Split:
    """The split called `wanted` of a file or folder."""
    path, name = _existing(source), split_name(wanted)
    if _is_saved(path):
        return sliced(_saved_split(path, name), wanted)
    return sliced(_split_of_files(name, _files_of_split(path, name)), wanted)


def open_stream(source: str, wanted: str) -> Stream:
    """The split called `wanted`, neither counted nor hashed: files are told apart by name and size."""
    path, name = _existing(source), split_name(wanted)
    if _is_saved(path):
        dataset, files = _saved_dataset(path, name)
        return sliced_stream(Stream(name, _sizes(files), lambda: lazy_rows_of(dataset, name)), wanted)
    files = _files_of_split(path, name)
    for file in filter(is_json_list, files):
        raise DatasetInvalid(
            f"{file} is one JSON list, which dataset.streaming cannot read row by row",
            hint="Convert it to jsonl, with one object per line, or turn dataset.streaming off.",
        )
    return sliced_stream(Stream(name, _sizes(files), lambda: chain.from_iterable(map(lazy_rows, files))), wanted)


def _sizes(files: list[Path]) -> str:
    return " ".join(f"{file.name}:{file.stat().st_size}" for file in files)


def _existing(source: str) -> Path:
    path = Path(source)
    if not path.exists():
        raise DatasetInvalid(
            f"dataset.source {source} does not exist",
            hint="Correct the path, or mount the volume that holds it (workers.volumes and workers.volumeMounts).",
        )
    return path


def _is_saved(path: Path) -> bool:
    return (path / SAVED_SPLITS).exists() or (path / SAVED_STATE).exists()


def _files_of_split(path: Path, name: str) -> list[Path]:
    by_split = {"train": [path]} if path.is_file() else _files_by_split(path)
    files = _choose(by_split, name, str(path))
    for file in files:
        if file.suffix not in KINDS:
            raise DatasetInvalid(f"{file} is none of {', '.join(KINDS)}", hint="Convert the data to jsonl or parquet.")
    return files


def _files_by_split(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.suffix in KINDS and file.name not in NOT_DATA and not hidden:
            found.setdefault(_split_of_file(file), []).append(file)
    if not found:
        raise DatasetInvalid(
            f"dataset.source {folder} holds no {', '.join(KINDS)} file", hint="Point dataset.source at the data."
        )
    return found


def _split_of_file(file: Path) -> str:
    name = _SHARD_NUMBER.sub("", file.stem)
    return name if _SPLIT_WORD.fullmatch(name) else "train"


def _choose(by_split: dict[str, list[Path]], name: str, source: str) -> list[Path]:
    """The files of the split `name`; `train_data.jsonl` serves as `train` when nothing else could be meant."""
    if name in by_split:
        return by_split[name]
    longer = [other for other in by_split if re.match(rf"{re.escape(name)}[^a-zA-Z]", other)]
    if len(longer) == 1:
        return by_split[longer[0]]
    raise missing_split(source, name, sorted(by_split))


def missing_split(source: str, name: str, existing: list[str]) -> DatasetInvalid:
    return DatasetInvalid(
        f"{source} has no split {name}; it has {', '.join(existing)}",
        hint="Set dataset.trainSplit and dataset.evalSplit to splits that exist; a slice like train[90%:] works too.",
    )


def _split_of_files(name: str, files: list[Path]) -> Split:
    check = _unchanged(files)
    counts = [count_rows(file) for file in files]
    digest = hashlib.sha256("".join(content_hash(file) for file in files).encode())
    columns = next((read_columns(file) for file, count in zip(files, counts, strict=True) if count), ())

    def read() -> Iterator[LocatedRow]:
        for file in files:
            yield from read_rows(file)

    return Split(name, columns, sum(counts), digest.hexdigest(), read, check)


def _unchanged(files: list[Path]) -> Callable[[], None]:
    """What raises DatasetInvalid where a file is written from now on: its rows would be kept under the wrong hash."""

    def state() -> list[tuple[int, int, int]]:
        return [(facts.st_ino, facts.st_size, facts.st_mtime_ns) for facts in map(Path.stat, files)]

    before = state()

    def check() -> None:
        for file, then, now in zip(files, before, state(), strict=True):
            if then != now:
                raise DatasetInvalid(
                    f"{file} was changed while it was read", hint="Start the job when nothing writes there any more."
                )

    return check


def _saved_split(path: Path, name: str) -> Split:
    dataset, files = _saved_dataset(path, name)
    check = _unchanged(files)
    digest = hashlib.sha256("".join(content_hash(file) for file in files).encode())
    return replace(split_of_dataset(dataset, name, digest.hexdigest()), check=check)


def _saved_dataset(path: Path, name: str) -> tuple[Any, list[Path]]:
    """A split of a folder written by the datasets library's `save_to_disk`, mapped, and its files."""
    from datasets import Dataset, load_from_disk

    saved: Any = load_from_disk(str(path))
    by_split = {"train": saved} if isinstance(saved, Dataset) else dict(saved)
    if name not in by_split:
        raise missing_split(str(path), name, sorted(by_split))
    dataset = by_split[name]
    return dataset, sorted(Path(entry["filename"]) for entry in dataset.cache_files)


def split_of_dataset(dataset: Any, name: str, fingerprint: str) -> Split:
    """A split that the datasets library has opened."""

    def read() -> Iterator[LocatedRow]:
        for number, row in enumerate(dataset, start=1):
            yield _place(name, number), row

    return Split(name, tuple(dataset.column_names), len(dataset), fingerprint, read)


def lazy_rows_of(dataset: Any, name: str) -> Iterator[LazyRow]:
    """The rows of a mapped dataset, each read only when it is called."""

    def row(number: int) -> LocatedRow:
        return _place(name, number + 1), dataset[number]

    return (partial(row, number) for number in range(len(dataset)))


def _place(name: str, number: int) -> str:
    return f"split {name} row {number}"
