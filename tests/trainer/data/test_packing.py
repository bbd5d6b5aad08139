"""Rows are full, never too long, and hold every document once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from peft_fsdp_trainer.data.packing import pack


def packed(lengths, capacity):
    return pack(np.asarray(lengths, dtype=np.int64), capacity)


@given(st.lists(st.integers(1, 50), max_size=60))
def test_every_document_is_in_one_row_and_no_row_is_too_long(lengths):
    rows = packed(lengths, 50)
    assert sorted(document for row in rows for document in row) == list(range(len(lengths)))
    assert all(sum(lengths[document] for document in row) <= 50 for row in rows)


def test_the_fullest_row_with_room_is_chosen():
    assert packed([7, 6, 3, 4], 10) == [[0, 2], [1, 3]]


def test_two_rows_are_never_both_half_empty():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 512, size=5000)
    rows = packed(lengths, 2048)
    assert sum(sum(lengths[document] for document in row) <= 1024 for row in rows) <= 1


def test_a_document_longer_than_a_row_is_refused():
    with pytest.raises(ValueError, match="11 tokens does not fit into 10"):
        packed([11], 10)
