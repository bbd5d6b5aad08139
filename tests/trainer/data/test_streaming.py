"""A streamed dataset: each row once on any ranks, across restarts, in the order of the seed, in little memory."""

import tracemalloc
from collections import Counter
from dataclasses import replace

import datasets
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

from peft_fsdp_trainer.data import Cursor, Stretch, take_over
from peft_fsdp_trainer.data.batches import IGNORED
from peft_fsdp_trainer.errors import DatasetInvalid

COUNT, BLOCK = 90, 8
TEXTS = [{"text": "a b " * (number + 1)} for number in range(COUNT)]


@pytest.fixture
def stream(prepared, write_rows):
    """90 documents of different lengths, in blocks of 8: eleven, and a last one of two."""

    def open_source(source=None, rows_per_block=BLOCK, **fields):
        data = prepared(source or write_rows(*TEXTS), streaming=True, max_length=256, **fields).train
        return replace(data, rows_per_block=rows_per_block)

    return open_source


def lengths(batch):
    """The documents of a batch by their length: positions begin anew with each."""
    seen = []
    for tokens, labels, positions in zip(
        *(batch.inputs[key] for key in ("input_ids", "labels", "position_ids")), strict=True
    ):
        learned = (labels != IGNORED).nonzero().flatten()
        for start in (positions == 0).nonzero().flatten().tolist():
            end = start + 1
            while end < len(tokens) and positions[end] > 0:
                end += 1
            count = int(((learned > start) & (learned < end)).sum())
            seen += [count] if count else []
    return seen


class Gang:
    """The ranks of a run, each on its own, with different numbers of batches behind them."""

    def __init__(self, rows, cursors, batch_size=2, seed=1):
        self.ranks = [Stretch(rows, cursor, rank, batch_size, seed) for rank, cursor in enumerate(cursors)]

    @classmethod
    def begin(cls, rows, world_size, **options):
        return cls(rows, [Cursor(rows.stream.fingerprint, world_size)] * world_size, **options)

    def see(self, *batches):
        """What each rank sees in so many batches."""
        return [[length for _ in range(count) for length in lengths(rank.batch())]
                for rank, count in zip(self.ranks, batches, strict=True)]  # fmt: skip

    def end(self):
        for rank in self.ranks:
            rank.close()
        return [rank.cursor for rank in self.ranks]


def sizes(rows):
    """The documents of one pass, by the same measure."""
    gang = Gang.begin(replace(rows, rows_per_block=COUNT), 1, batch_size=1)
    found = []
    while gang.ranks[0].cursor.items == 0:
        found += gang.see(1)[0]
    gang.end()
    return Counter(found)


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 2), (2, 1), (2, 3), (3, 2), (1, 4), (4, 3)])
def test_each_document_is_seen_once_before_and_after_a_resume(stream, packing, before, after):
    rows = stream(packing=packing)
    gang = Gang.begin(rows, before, batch_size=1)
    uneven = [3 + 2 * rank for rank in range(before)]
    seen = Counter(length for part in gang.see(*uneven) for length in part)
    cursors = gang.end()
    gang = Gang(rows, [take_over(cursors, rank, after) for rank in range(after)], batch_size=1)
    for rank in gang.ranks:
        while rank.cursor.current(rank.rank)[0] * BLOCK < COUNT:
            seen.update(lengths(rank.batch()))
    gang.end()
    assert seen == sizes(rows)


def test_on_as_many_ranks_nothing_tells_that_there_was_a_stop(stream):
    rows = stream()
    whole = Gang.begin(rows, 2)
    expected = whole.see(7, 7)
    whole.end()
    first = Gang.begin(rows, 2)
    seen = first.see(3, 3)
    cursors = first.end()
    second = Gang(rows, [take_over(cursors, rank, 2) for rank in range(2)])
    assert [a + b for a, b in zip(seen, second.see(4, 4), strict=True)] == expected
    second.end()


def test_a_run_that_changes_its_ranks_twice_loses_nothing(stream):
    rows = stream(packing=False)
    seen, cursors = Counter(), [Cursor(rows.stream.fingerprint, 3)] * 3
    for world_size in (3, 2, 4, 1):
        gang = Gang(rows, [take_over(cursors, rank, world_size) for rank in range(world_size)], batch_size=1)
        seen.update(length for part in gang.see(*range(2, world_size + 2)) for length in part)
        cursors = gang.end()
    last = Gang(rows, [take_over(cursors, 0, 1)], batch_size=1)
    while last.ranks[0].cursor.current(0)[0] * BLOCK < COUNT:
        seen.update(lengths(last.ranks[0].batch()))
    last.end()
    assert seen == sizes(rows)


def test_where_the_data_ends_it_begins_anew_in_another_order_and_a_resume_finds_its_pass(stream):
    rows = stream(packing=False)
    gang = Gang.begin(rows, 1, batch_size=COUNT)
    first, second = gang.see(1)[0], gang.see(1)[0]
    assert Counter(first) == Counter(second)
    assert first != second
    cursors = gang.end()
    assert gang.ranks[0].passes == 2
    again = Gang(rows, cursors, batch_size=COUNT)
    assert Counter(again.see(1)[0]) == Counter(first)
    again.end()


def test_another_seed_gives_another_order(stream):
    rows, orders = stream(packing=False), []
    for seed in (1, 1, 2):
        gang = Gang.begin(rows, 1, seed=seed)
        orders.append(gang.see(4))
        gang.end()
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "arrow", "saved", "folder"])
def test_every_kind_of_file_can_be_streamed(stream, write_rows, tmp_path, kind):
    table, source = pa.Table.from_pylist(TEXTS), tmp_path / f"rows.{kind}"
    if kind == "jsonl":
        source = write_rows(*TEXTS)
    elif kind == "parquet":
        pyarrow.parquet.write_table(table, source)
    elif kind == "arrow":
        with pa.ipc.new_stream(str(source), table.schema) as opened:
            opened.write_table(table)
    elif kind == "saved":
        datasets.Dataset.from_list(TEXTS).save_to_disk(source)
    else:
        write_rows(*TEXTS[:50], name=f"{source.name}/a.jsonl"), write_rows(*TEXTS[50:], name=f"{source.name}/b.jsonl")
    assert sizes(stream(source)) == sizes(stream())


def test_a_slice_by_numbers(stream):
    assert sum(sizes(stream(train_split="train[10:30]")).values()) == 20


def bad(stream, source, **fields):
    with pytest.raises(DatasetInvalid) as raised:
        see_all(stream(source, **fields))
    return raised.value


def see_all(rows):
    gang = Gang.begin(rows, 1)
    try:
        gang.see(COUNT)
    finally:
        gang.end()


def test_a_broken_row_is_named_with_its_file_and_number(stream, tmp_path):
    lines = ['{"text": "good text"}\n'] * 20
    file = tmp_path / "train.jsonl"
    file.write_text("".join([*lines, '{"text": \n', *lines]))
    assert bad(stream, file).message.startswith(f"{file} line 21: not valid JSON")
    file.write_text("".join([*lines, '{"text": 5}\n']))
    assert bad(stream, file).message == f"{file} line 21: column text must be text, it is a int"
    rows = [{"text": "good"}] * 9 + [{"text": None}]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    assert (
        "train.parquet row 10: column text must be text, it is missing"
        in bad(stream, tmp_path / "train.parquet").message
    )


def test_what_cannot_be_streamed_is_refused(stream, write_rows, tmp_path):
    listed = tmp_path / "rows.json"
    listed.write_text('[{"text": "one"}]')
    assert "is one JSON list" in bad(stream, listed).message
    assert "split train is empty" in bad(stream, write_rows(name="empty.jsonl")).message
    assert (
        "has no split test" in bad(stream, write_rows(*TEXTS, name="d/train.jsonl").parent, train_split="test").message
    )


def test_data_without_a_token_to_learn_ends_the_run(stream, write_rows):
    source = write_rows(*[{"text": ""}] * 40)
    assert "has a token to learn" in bad(stream, source).message


def test_data_that_becomes_shorter_ends_the_run(stream, write_rows):
    source = write_rows(*TEXTS)
    gang = Gang.begin(stream(source), 1, batch_size=COUNT // 2)
    gang.see(6)  # more than one pass
    write_rows(*TEXTS[:20], name="shorter.jsonl").replace(source)
    with pytest.raises(DatasetInvalid, match="has become shorter"):
        gang.see(40)
    gang.end()


def test_the_split_to_evaluate_on_is_prepared_as_a_whole(prepared, write_rows):
    write_rows(*TEXTS, name="d/train.jsonl")
    source = write_rows(*TEXTS[:7], name="d/test.jsonl").parent
    data = prepared(source, streaming=True, eval_split="test")
    assert (data.facts.train, len(data.evaluation), data.facts.evaluation.documents) == (
        None,
        data.facts.evaluation.rows,
        7,
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_memory_does_not_grow_with_the_data(stream, write_rows, tmp_path, kind):
    peaks = []
    for count in (2_000, 12_000):
        texts = [{"text": f"number {number} " + "of many " * 30} for number in range(count)]
        source = write_rows(*texts, name=f"{count}.jsonl")
        if kind == "parquet":
            pyarrow.parquet.write_table(
                pa.Table.from_pylist(texts), source := tmp_path / "p.parquet", row_group_size=2000
            )
        del texts
        rows = stream(source, rows_per_block=256)
        tracemalloc.start()
        gang = Gang.begin(rows, 2, batch_size=8)
        for _ in range(count // 8 // 40):
            gang.see(1, 1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        gang.end()
    assert peaks[1] < 1.5 * peaks[0]
