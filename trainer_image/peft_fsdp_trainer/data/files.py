"""Reads the rows of one data file and says where each of them stands. Called by `local`.

The files are read as they are, not through the datasets library: an error then names the file and the line, and
nothing is copied into a second cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet

from ..errors import DatasetInvalid
from .splits import LazyRow, LocatedRow

ARROW_FILE_MAGIC = b"ARROW1"
AT_ONCE = 1024
"""Rows of a parquet or arrow file that become Python objects at once."""


@dataclass(frozen=True)
class FileKind:
    count: Callable[[Path], int]
    read: Callable[[Path], Iterator[LazyRow]]


def count_rows(file: Path) -> int:
    return KINDS[file.suffix].count(file)


def read_rows(file: Path) -> Iterator[LocatedRow]:
    """The rows of a file in order.

    Raises:
        DatasetInvalid: the file is not what its suffix says; names the line where there are lines.
    """
    return (row() for row in lazy_rows(file))


def lazy_rows(file: Path) -> Iterator[LazyRow]:
    """The rows of a file in order, each decoded only when it is called: skipping rows costs little."""
    return KINDS[file.suffix].read(file)


def is_json_list(file: Path) -> bool:
    """Whether the file is one JSON list, which can only be read as a whole."""
    if file.suffix != ".json":
        return False
    with file.open("rb") as opened:
        return opened.read(4096).lstrip().startswith(b"[")


def read_columns(file: Path) -> tuple[str, ...]:
    """The columns of a file, those of its first row for JSON."""
    return next((tuple(row) for _, row in read_rows(file)), ())


def content_hash(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _read_json_lines(file: Path) -> Iterator[LazyRow]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield partial(_parse_line, file, number, line)


def _parse_line(file: Path, number: int, line: bytes) -> LocatedRow:
    where = f"{file} line {number}"
    return where, _as_row(_parse_json(line, where), where)


def _count_json_lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def _read_json(file: Path) -> Iterator[LazyRow]:
    """A list of objects; a .json file that holds one object per line is read as such."""
    if not is_json_list(file):
        yield from _read_json_lines(file)
        return
    for number, row in enumerate(_parse_json(file.read_bytes(), str(file)), start=1):
        yield partial(_listed, f"{file} row {number}", row)


def _listed(where: str, row: Any) -> LocatedRow:
    return where, _as_row(row, where)


def _parse_json(text: bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except UnicodeDecodeError as error:
        raise DatasetInvalid(f"{where}: not UTF-8 text", hint="Save the file as UTF-8.") from error
    except json.JSONDecodeError as error:
        raise DatasetInvalid(
            f"{where}: not valid JSON: {error}", hint="Each line of a jsonl file is one complete JSON object."
        ) from error


def _as_row(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise DatasetInvalid(
        f"{where}: a JSON object is needed, this is a {type(value).__name__}",
        hint='Write each row like {"messages": [...]} or {"text": "..."}.',
    )


def _read_parquet(file: Path) -> Iterator[LazyRow]:
    with _opened_parquet(file) as table:
        yield from _rows_of_batches(file, table.iter_batches(AT_ONCE))


def _count_parquet(file: Path) -> int:
    with _opened_parquet(file) as table:
        count: int = table.metadata.num_rows
        return count


def _opened_parquet(file: Path) -> Any:
    try:
        return pyarrow.parquet.ParquetFile(file)
    except pa.ArrowInvalid as error:
        raise DatasetInvalid(f"{file}: not a parquet file: {error}", hint="Write the file again.") from error


def _read_arrow(file: Path) -> Iterator[LazyRow]:
    yield from _rows_of_batches(file, _arrow_batches(file))


def _count_arrow(file: Path) -> int:
    return sum(batch.num_rows for batch in _arrow_batches(file))


def _arrow_batches(file: Path) -> Iterator[Any]:
    """Both Arrow formats: the random-access file, and the stream that the datasets library writes."""
    with pa.memory_map(str(file)) as source:
        is_file = source.read(len(ARROW_FILE_MAGIC)) == ARROW_FILE_MAGIC
        source.seek(0)
        try:
            if is_file:
                reader = pyarrow.ipc.open_file(source)
                yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
            else:
                yield from pyarrow.ipc.open_stream(source)
        except pa.ArrowInvalid as error:
            raise DatasetInvalid(f"{file}: not an arrow file: {error}", hint="Write the file again.") from error


@dataclass(frozen=True)
class _Part:
    """Some rows of a file, decoded together when the first of them is asked for."""

    file: Path
    rows_before: int
    batch: Any

    @cached_property
    def decoded(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.batch.to_pylist()
        return rows

    def row(self, place: int) -> LocatedRow:
        return f"{self.file} row {self.rows_before + place + 1}", self.decoded[place]


def _rows_of_batches(file: Path, batches: Iterator[Any]) -> Iterator[LazyRow]:
    before = 0
    for batch in batches:
        for start in range(0, batch.num_rows, AT_ONCE):
            part = _Part(file, before + start, batch.slice(start, AT_ONCE))
            yield from (partial(part.row, place) for place in range(part.batch.num_rows))
        before += batch.num_rows


def _count_json(file: Path) -> int:
    return sum(1 for _ in _read_json(file))


KINDS = {
    ".jsonl": FileKind(_count_json_lines, _read_json_lines),
    ".json": FileKind(_count_json, _read_json),
    ".parquet": FileKind(_count_parquet, _read_parquet),
    ".arrow": FileKind(_count_arrow, _read_arrow),
}
