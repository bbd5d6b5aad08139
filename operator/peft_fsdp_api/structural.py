"""Pydantic models as structural schemas, the subset of OpenAPI v3 that the API server accepts in a CRD.

Two steps: `inline_schema` gives one tree without references, in which a default stands as text; `structural`
makes the API server's form of it and refuses whatever that form does not know. Called by `crd` and `reference`.
"""

from collections.abc import Iterator
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from .schema import ApiModel, Rule, cel_expression, cel_message
from .text import VALIDATIONS

Schema = dict[str, Any]

INT_OR_STRING: Final = "x-kubernetes-int-or-string"
PRESERVE_UNKNOWN: Final = "x-kubernetes-preserve-unknown-fields"
ALLOWED_KEYWORDS: Final = frozenset(
    {
        "additionalProperties",
        "description",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "pattern",
        "properties",
        "required",
        "type",
        INT_OR_STRING,
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        PRESERVE_UNKNOWN,
        VALIDATIONS,
    }
)
MESSAGE_MAX_LENGTH: Final = 2048
# Words of a description that say what an optional field without a default means when it is left out.
_WORDS_FOR_ABSENCE: Final = ("absent", "by default", "without it")


class NotStructural(ValueError):
    """A model that cannot be published as a CRD; names the field and what is wrong with it."""


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, with the rules of a model beside its fields and defaults as text."""

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        result = super().model_schema(schema)
        model = schema["cls"]
        if issubclass(model, ApiModel) and model.RULES:
            result[VALIDATIONS] = [cel_rule(rule, model) for rule in model.RULES]
        return result

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> Schema:
        result = super().default_schema(schema)
        text = default_text(self.get_default_value(schema))
        result.pop("default", None)
        return {**result, "default": text} if text else result


def cel_rule(rule: Rule, model: type[ApiModel]) -> Schema:
    """A rule as an entry of `x-kubernetes-validations`."""
    result = {"rule": cel_expression(rule.cel, model)}
    expression = cel_message(rule.message, model)
    if expression is None:
        result["message"] = rule.message
    else:
        result["messageExpression"] = expression
    if rule.field:
        result["fieldPath"] = f".{rule.field}"
    return result


def default_text(value: object) -> str:
    """A default as people write it in YAML; empty for none and for an object whose fields all have their own."""
    if isinstance(value, ApiModel):
        value = value.model_dump(by_alias=True, exclude_defaults=True)
        return default_text(value) if value else ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(default_text(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {default_text(item)}" for key, item in value.items()) + "}"
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def inline_schema(model: type[ApiModel]) -> Schema:
    """The JSON schema of a model as one tree: no references, no titles, no null."""
    schema = model.model_json_schema(by_alias=True, schema_generator=_Generator)
    return _inlined(schema, schema.get("$defs", {}))


def _inlined(node: Schema, definitions: dict[str, Schema]) -> Schema:
    node = {key: value for key, value in node.items() if key not in ("$defs", "title", "propertyNames")}
    while "$ref" in node or "anyOf" in node:
        node = _without_indirection(node, definitions)
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            node[key] = _inlined(node[key], definitions)
    if "properties" in node:
        node["properties"] = {name: _inlined(inner, definitions) for name, inner in node["properties"].items()}
    return node


def _without_indirection(node: Schema, definitions: dict[str, Schema]) -> Schema:
    """The node with its reference, or with the one branch of its union that is not null, merged into it."""
    if "$ref" in node:
        target = definitions[node.pop("$ref").removeprefix("#/$defs/")]
    else:
        branches = [branch for branch in node.pop("anyOf") if branch != {"type": "null"}]
        if len(branches) != 1:
            raise NotStructural(f"a field of several types has no structural schema: {branches}")
        target = branches[0]
    return {key: value for key, value in target.items() if key != "title"} | node


def structural(node: Schema, path: str) -> Schema:
    """A tree of `inline_schema` in the API server's form. Raises NotStructural for what it would refuse."""
    result = _closed(_numbers(_single_value(dict(node))))
    if "default" in result:
        result["description"] = f"{result.get('description', '')} Default: {result.pop('default')}."
    unknown = sorted(set(result) - ALLOWED_KEYWORDS)
    if unknown:
        raise NotStructural(f"{path}: a structural schema has no {', '.join(unknown)}")
    _check_description(result, path)
    for rule in result.get(VALIDATIONS, ()):
        if len(rule.get("message", "")) > MESSAGE_MAX_LENGTH:
            raise NotStructural(f"{path}: the message of a rule is longer than {MESSAGE_MAX_LENGTH} characters")
    for key, name in (("items", "[]"), ("additionalProperties", "[*]")):
        if key in result:
            result[key] = structural(result[key], path + name)
    if "properties" in result:
        result["properties"] = {
            name: structural(inner, f"{path}.{name}") for name, inner in result["properties"].items()
        }
    return result


def _check_description(node: Schema, path: str) -> None:
    description = " ".join(node.get("description", "").split())
    if not description.endswith("."):
        raise NotStructural(f"{path}: needs a description that ends with a full stop")
    node["description"] = description


def optional_without_default(node: Schema, path: str) -> Iterator[str]:
    """The optional fields whose description says nothing about leaving them out."""
    for name, inner in node.get("properties", {}).items():
        described = any(word in inner["description"].lower() for word in _WORDS_FOR_ABSENCE)
        silent = "default" not in inner and inner.get("type") != "object" and not described
        if silent and name not in node.get("required", ()):
            yield f"{path}.{name}"
        yield from optional_without_default(inner, f"{path}.{name}")
    if isinstance(node.get("items"), dict):
        yield from optional_without_default(node["items"], f"{path}[]")


def _single_value(node: Schema) -> Schema:
    if "const" in node:
        node["enum"] = [node.pop("const")]
    return node


def _numbers(node: Schema) -> Schema:
    """OpenAPI 3.0 bounds, in which exclusive is a flag. No format: with one, a wrong type is told as "int32"."""
    for exclusive, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if exclusive in node:
            node[bound], node[exclusive] = node[exclusive], True
    return node


def _closed(node: Schema) -> Schema:
    """Objects are closed by pruning and strict field validation; open ones say so in Kubernetes' own keyword."""
    if isinstance(node.get("additionalProperties"), bool) and node.pop("additionalProperties"):
        node[PRESERVE_UNKNOWN] = True
    return node
