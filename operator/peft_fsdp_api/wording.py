"""How a problem is put into words, so that `validate`, the operator and the API server say the same.

Where the API server has its own phrase for a schema error, pydantic's error is rephrased to it.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from .schema import Problem

_JSON_TYPES = {
    "bool_type": "boolean",
    "dict_type": "object",
    "model_type": "object",
    "mapping_type": "object",
    "float_type": "number",
    "int_type": "integer",
    "list_type": "array",
    "string_type": "string",
}
# The message goes into a log that others read.
_PRIVATE = re.compile(r"\benv\[\d+\]\.value$")
_SENTENCES = {
    "missing": "required value is missing",
    "extra_forbidden": "unknown field; `kubectl explain` lists the fields there are",
    "greater_than_equal": "should be greater than or equal to {ge}, but it is {given}",
    "greater_than": "should be greater than {gt}, but it is {given}",
    "less_than_equal": "should be less than or equal to {le}, but it is {given}",
    "less_than": "should be less than {lt}, but it is {given}",
    "string_too_long": "too long: may not be more than {max_length} characters, but it is {given}",
    "too_long": "must have at most {max_length} items, but it has {actual_length}",
    "too_short": "should have at least {min_length} items, but it has {actual_length}",
    "wrong_text": "{sentence}",
    "duplicate": "{sentence}",
}


def problem(detail: Mapping[str, Any]) -> Problem:
    """One of the errors of a pydantic ValidationError."""
    path = _path(detail["loc"])
    given = "not shown" if _PRIVATE.search(path) else shown(detail.get("input"))
    return Problem(path, _sentence(detail, given))


def _path(location: tuple[str | int, ...]) -> str:
    path = ""
    for part in location:
        if part != "[key]":
            path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _sentence(detail: Mapping[str, Any], given: str) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _JSON_TYPES:
        return f"must be of type {_JSON_TYPES[kind]}, but it is {given}"
    if "expected" in context:
        expected = context["expected"].replace("'", '"').replace(" or ", ", ")
        return f"unsupported value {given}; supported values: {expected}"
    if kind in _SENTENCES:
        return _SENTENCES[kind].format(given=given, **context)
    return f"{detail['msg'][0].lower()}{detail['msg'][1:]}, but it is {given}"


def shown(value: object) -> str:
    """A given value as JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 200 else text[:197] + "..."
