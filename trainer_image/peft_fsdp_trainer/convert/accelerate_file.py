"""Reads an Accelerate FSDP file. Called by `conversion`."""

import json
from typing import Any

import yaml

from peft_fsdp_api.manifest import load_documents

from .accelerate_keys import KEYS, PREFIX, SECTION
from .given import Given, by_name, unknown

_TABLE = by_name(KEYS)


def read_accelerate_file(text: str) -> Given:
    """What the file says; keys of its FSDP section may have lost their indentation."""
    given = Given()
    try:
        documents = load_documents(text)
    except yaml.YAMLError as error:
        given.refuse("--accelerate-config", f"is not YAML: {error}")
        return given
    if len(documents) != 1 or not isinstance(documents[0], dict):
        given.refuse("--accelerate-config", "is no Accelerate file: it must be one mapping of keys")
        return given
    _add_keys(given, documents[0])
    if "distributed_type" not in documents[0]:
        given.refuse("distributed_type", "is missing, so this is no Accelerate file; FSDP is expected")
    return given


def _add_keys(given: Given, content: dict[Any, Any]) -> None:
    section = content.get(SECTION) or {}
    if not isinstance(section, dict):
        given.refuse(SECTION, f"must be a section with keys; it is {_text(section)}")
        section = {}
    lost = [str(key) for key in content if str(key).startswith(PREFIX) and key != SECTION]
    if lost:
        given.remarks.append(f"{', '.join(lost)}: not indented below {SECTION}; taken as if they were.")
    both = [key for key in lost if key in section or key.removeprefix(PREFIX) in section]
    for key in both:
        given.refuse(key, f"stands below {SECTION} and beside it; remove one")
    for key, value in content.items():
        if key != SECTION and key not in both:
            _add(given, str(key), value)
    for key, value in section.items():
        _add(given, str(key) if str(key).startswith(PREFIX) else f"{PREFIX}{key}", value)


def _add(given: Given, key: str, value: Any) -> None:
    setting = _TABLE.get(key)
    if setting is None:
        given.refuse(key, unknown(key, "key of an Accelerate file", _TABLE))
    elif value is not None:
        given.add(setting, key, _text(value))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
