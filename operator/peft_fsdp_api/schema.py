"""The base class of every object of the contract, and the cross-field rules that travel with it.

A rule is written once and read three times: as a CEL expression by the API server, as a Python predicate by
`validate` and the operator, and as a sentence by the person who broke it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, get_args

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

_PLACEHOLDER: Final = re.compile(r"\{([a-zA-Z.]+)\}")
_SELF_PATH: Final = re.compile(r"\bself\.([a-zA-Z]+(?:\.[a-zA-Z]+)*)")


@dataclass(frozen=True)
class Rule:
    """A relation between fields of one object that its schema alone cannot express.

    In `cel` and `message` a field stands as its path in braces, `{workers.nodes}`: its value, or its default
    where the user left it out, so a default is never repeated in a rule.
    """

    cel: str
    holds: Callable[[Any], bool]
    message: str
    field: str = ""
    """The path of the field to blame, relative to the object that carries the rule, such as `fsdp.sharding`."""


class ApiModel(BaseModel):
    """A closed, immutable object with camelCase names on the wire and snake_case names in Python."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,  # errors end in logs, and what was given may be private
    )

    RULES: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        """The API server drops nulls of fields that are not nullable, and none of ours is; unknown fields it refuses,
        null or not."""
        if isinstance(data, Mapping) and None in data.values():
            known = {field.alias for field in cls.model_fields.values()}
            return {key: value for key, value in data.items() if value is not None or key not in known}
        return data

    def to_wire(self) -> dict[str, Any]:
        """Plain JSON data with camelCase keys; what is absent stays absent."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with an object: the field's path and a sentence for the user."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


def broken_rules(value: object, path: str = "") -> Iterator[Problem]:
    """The problems of `value` and of everything below it, in the order of the fields."""
    if isinstance(value, ApiModel):
        for rule in value.RULES:
            if not rule.holds(value):
                yield Problem(_join(path, rule.field), fill_message(rule.message, value))
        for name, field in type(value).model_fields.items():
            yield from broken_rules(getattr(value, name), _join(path, field.alias or name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from broken_rules(item, f"{path}[{index}]")


def fill_message(template: str, value: ApiModel) -> str:
    """The sentence of a rule with the values of `value` in the place of its placeholders."""
    return fill_placeholders(template, lambda path: _spell(_lookup(value, path)))


def fill_placeholders(template: str, spell: Callable[[str], str]) -> str:
    """`template` with each `{path}` replaced by what `spell` makes of the path."""
    return _PLACEHOLDER.sub(lambda match: spell(match[1]), template)


def cel_expression(template: str, model: type[ApiModel]) -> str:
    """The CEL text of a rule: each placeholder becomes a guarded access that yields the field's default.

    A required field that is missing makes the rule hold: the schema names it already, and a rule that fails to read
    it would make the API server refuse every write of such an object, the one of its status too.
    """
    text = fill_placeholders(template, lambda path: _cel_access(model, path))
    missing = dict.fromkeys(guard for path in _SELF_PATH.findall(text) for guard in _absences(model, path.split(".")))
    return " || ".join([*missing, f"({text})"]) if missing else text


def _absences(model: type[ApiModel], names: list[str]) -> Iterator[str]:
    """For each required field on a path a test that is true where it is missing. A path may end in a method."""
    owner: type[ApiModel] | None = model
    above, may_be_absent = "self", False
    for name in names:
        field = _find_field(owner, name)
        if field is None:
            return
        here = f"{above}.{name}"
        if field.is_required():
            yield f"(has({above}) && !has({here}))" if may_be_absent else f"!has({here})"
        owner, above, may_be_absent = nested_model(field.annotation), here, not field.is_required()


def _find_field(model: type[ApiModel] | None, alias: str) -> FieldInfo | None:
    fields = model.model_fields.items() if model is not None else ()
    return next((field for name, field in fields if alias in (field.alias, name)), None)


def cel_message(template: str, model: type[ApiModel]) -> str | None:
    """A CEL expression for the sentence of a rule, or None where it has no placeholder and can stay a string."""
    if not _PLACEHOLDER.search(template):
        return None
    # One call of format: the API server's cost estimate has no bound for `"it is " + string(number)`.
    text = _PLACEHOLDER.sub("%s", template.replace("%", "%%"))
    values = ", ".join(_cel_access(model, path) for path in _PLACEHOLDER.findall(template))
    return f"{_cel_literal(text)}.format([{values}])"


def nested_model(annotation: Any) -> type[ApiModel] | None:
    """The model inside an annotation such as `Model`, `Model | None` or `list[Model]`."""
    if isinstance(annotation, type) and issubclass(annotation, ApiModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := nested_model(part))), None)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _spell(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _lookup(value: Any, path: str) -> object:
    for name in path.split("."):
        value = getattr(value, _attribute(type(value), name))
    return value


def _attribute(model: type[ApiModel], alias: str) -> str:
    for name, field in model.model_fields.items():
        if alias in (field.alias, name):
            return name
    raise ValueError(f"{model.__name__} has no field {alias}")


def _cel_access(model: type[ApiModel], path: str) -> str:
    names = path.split(".")
    fields = list(_fields_on(model, names))
    if all(field.is_required() for field in fields):
        return f"self.{path}"
    # Not `self.?x.orValue(d)`: the API server's cost estimate knows no size of what comes out of it.
    paths = ["self." + ".".join(names[: depth + 1]) for depth in range(len(names))]
    given = " && ".join(f"has({path})" for path, field in zip(paths, fields, strict=True) if not field.is_required())
    default = _cel_literal(fields[-1].get_default(call_default_factory=True))
    return f"({given} ? {paths[-1]} : {default})"


def _fields_on(model: type[ApiModel], names: list[str]) -> Iterator[FieldInfo]:
    owner: type[ApiModel] | None = model
    for name in names:
        if owner is None:
            raise ValueError(f"{model.__name__} has no object at {'.'.join(names)}")
        field = owner.model_fields[_attribute(owner, name)]
        yield field
        owner = nested_model(field.annotation)


def _cel_literal(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(_cel_literal(item) for item in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    raise ValueError(f"{value!r} has no CEL literal: give the field a default or test it with has()")
