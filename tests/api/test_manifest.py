"""YAML as kubectl reads it."""

from typing import Any

import pytest
import yaml

from peft_fsdp_api.manifest import load_documents


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("2E3", 2000.0),
        (".5", 0.5),
        ("1.5", 1.5),
        ("16", 16),
        ("0x1f", 31),
        ("1_000", 1000),
        ("yes", True),
        ("2026-01-02", "2026-01-02"),
        ("1.2.3", "1.2.3"),
        ("e5", "e5"),
        ("~", None),
        ('"1e-4"', "1e-4"),
    ],
)
def test_scalars(text: str, value: Any) -> None:
    [document] = load_documents(f"key: {text}")
    assert document == {"key": value}
    assert type(document["key"]) is type(value)


def test_a_key_that_stands_twice_is_refused() -> None:
    with pytest.raises(yaml.YAMLError, match=r'"rank" is set twice(.|\n)*line 1, column 17'):
        load_documents("lora: {rank: 1, rank: 2}")


def test_empty_documents_are_passed_over() -> None:
    assert load_documents("---\n---\na: 1\n---\n# nothing\n") == [{"a": 1}]
