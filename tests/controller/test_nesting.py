"""Objects nested beyond what Python can read."""

import json

import pytest

from peft_fsdp_operator.cluster.nesting import MAX_LEVELS, keep_shallow


def nested(levels: int, inner: str = "1", pair: str = "{}") -> str:
    opening = '{"a":' if pair == "{}" else "["
    return opening * levels + inner + pair[1] * levels


def depth(value: object) -> int:
    levels = 0
    while isinstance(value, dict | list) and value:
        value, levels = next(iter(value.values() if isinstance(value, dict) else value)), levels + 1
    return levels


@pytest.mark.parametrize("levels", [1, MAX_LEVELS])
def test_what_can_be_read_stays_as_it_is(levels):
    text = f'[{nested(levels - 1)}, "{"[" * 300}"]'.encode()
    assert keep_shallow(text) == text


@pytest.mark.parametrize("levels", [MAX_LEVELS + 1, 9_999])
@pytest.mark.parametrize("pair", ["{}", "[]"])
def test_what_is_deeper_is_cut_off(levels, pair):
    read = json.loads(keep_shallow(nested(levels, pair=pair).encode()))
    assert depth(read) == MAX_LEVELS


def test_what_stands_beside_it_stays():
    text = f'{{"items": [{nested(5000)}, {{"name": "good"}}, {nested(5000)}], "kind": "List"}}'
    read = json.loads(keep_shallow(text.encode()))
    assert read["kind"] == "List"
    assert read["items"][1] == {"name": "good"}


def test_braces_and_quotes_inside_of_texts_do_not_count():
    text = nested(150, json.dumps({"b": '"}]{[\\' * 100})).encode()
    assert keep_shallow(text) == text
