"""YAML as kubectl reads it."""

from typing import Any

import pytest
import yaml

from peft_fsdp_api.manifest import load_documents, load_jobs


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


JOB = "{kind: PeftFsdpJob, metadata: {name: %s}}"
CLAIM = "{kind: PersistentVolumeClaim}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{JOB % 'a'}\n---\n{CLAIM}\n---\n{JOB % 'b'}", ["a", "b"]),
        (f"kind: List\nitems: [{CLAIM}, {JOB % 'a'}]", ["a"]),
        (f"kind: PeftFsdpJobList\nitems: [{JOB % 'a'}, {JOB % 'b'}]", ["a", "b"]),
        ("{kind: PeftFsdpJub, metadata: {name: a}}", ["a"]),
    ],
)
def test_the_jobs_of_a_manifest(text: str, found: list[str]) -> None:
    assert [job["metadata"]["name"] for job in load_jobs(text)] == found


@pytest.mark.parametrize("text", ["", f"{CLAIM}\n---\n{CLAIM}", "- a\n- b", "kind: List\nitems: []"])
def test_a_manifest_without_a_job(text: str) -> None:
    with pytest.raises(ValueError, match="it holds"):
        load_jobs(text)
