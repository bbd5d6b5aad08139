"""Strings of a known form: one declaration gives the pydantic check, the CEL rule and the sentence of both.

A `pattern` in the schema would do for the check, but it answers with a regular expression; people get a sentence.
Used by the sections in `spec/`.
"""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

VALIDATIONS = "x-kubernetes-validations"
# `\s` is not the same in both syntaxes (RE2 leaves out the vertical tab), and nobody wants the other controls either.
VISIBLE = r"[^\s\x00-\x1f\x7f]"


@dataclass(frozen=True)
class Text:
    """An annotation of a string that must match `pattern` as a whole (syntax that Python and RE2 share)."""

    pattern: str
    allowed: str
    """What may be given instead, to follow the word `give`."""

    def matches(self, text: str) -> bool:
        """Whether the whole of `text` has the form."""
        return re.fullmatch(self.pattern, text, re.ASCII) is not None

    def check(self, text: str) -> str:
        """`text` itself, or the error that says what may be given."""
        if not self.matches(text):
            raise PydanticCustomError("wrong_text", "{sentence}", {"sentence": f'"{text}" {self._remedy}'})
        return text

    @property
    def _remedy(self) -> str:
        return f"is not allowed; give {self.allowed}"

    @property
    def cel(self) -> str:
        """The regular expression as a CEL literal."""
        return f"r'^(?:{self.pattern})$'"

    def rule(self, subject: str = "self", prefix: str = "") -> dict[str, str]:
        """The check of the string `subject` as an entry of `x-kubernetes-validations`."""
        return {"rule": f"{subject}.matches({self.cel})", "messageExpression": self.message(subject, prefix)}

    def message(self, subject: str, prefix: str = "") -> str:
        """The sentence about the string that the CEL expression `subject` yields, as a CEL expression."""
        sentence = (prefix + '"%s" ' + self._remedy.replace("%", "%%")).replace("'", r"\'")
        return f"'{sentence}'.format([{subject}])"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return _with_rule(handler(schema), self.rule())


@dataclass(frozen=True)
class Keys:
    """An annotation of a map whose keys must all be of a form. The API server drops null values, so this does too."""

    text: Text

    def check(self, mapping: dict[str, Any]) -> dict[str, Any]:
        """`mapping` itself, or the error about its first wrong key."""
        for key in sorted(mapping):
            self.text.check(key)
        return mapping

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        checked = core_schema.no_info_after_validator_function(self.check, handler(source))
        return core_schema.no_info_before_validator_function(_without_nulls, checked)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        wrong = f"self.filter(key, !key.matches({self.text.cel}))[0]"
        rule = {
            "rule": f"self.all(key, key.matches({self.text.cel}))",
            "messageExpression": self.text.message(wrong),
        }
        return _with_rule(handler(schema), rule)


def _without_nulls(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: value for key, value in data.items() if value is not None}
    return data


@dataclass(frozen=True)
class Described:
    """An annotation that describes the items of a list or the values of a map, which have no docstring."""

    description: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "description": self.description}


@dataclass(frozen=True)
class Keyed:
    """An annotation of a list of objects that server-side apply merges by `key`, so no two may share it."""

    key: str

    def check(self, items: list[Any]) -> list[Any]:
        """`items` themselves, or the error about the first key that is there twice."""
        seen: set[object] = set()
        for item in items:
            value = item.get(self.key) if isinstance(item, dict) else item.model_dump(by_alias=True)[self.key]
            if value in seen:
                sentence = f'Duplicate value: two items have the {self.key} "{value}"; remove one of them'
                raise PydanticCustomError("duplicate", "{sentence}", {"sentence": sentence})
            seen.add(value)
        return items

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [self.key]}


def _with_rule(schema: dict[str, Any], rule: dict[str, str]) -> dict[str, Any]:
    return {**schema, VALIDATIONS: [*schema.get(VALIDATIONS, []), rule]}
