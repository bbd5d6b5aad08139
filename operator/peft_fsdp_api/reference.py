"""The reference of the job and of the reasons as Markdown, made from the models. Called by `generate`."""

from collections.abc import Iterator
from typing import Any, Final, get_args

from . import names
from .crd import MUTABLE, spec_tree
from .job import JobSpec
from .reasons import REASONS, Budget
from .schema import ApiModel, Rule, fill_placeholders, nested_model
from .status import JobStatus
from .structural import INT_OR_STRING, Schema, inline_schema
from .text import Text

_INTRODUCTION: Final = f"""# {names.KIND} reference

Every field of `{names.API_VERSION}`, made from the same models as the CRD. `kubectl explain {names.SHORT_NAME}.spec`
shows the same in a terminal, and `peft-fsdp-operator validate FILE` checks a file against it without a cluster.

The name of a job has at most {names.JOB_NAME_MAX_LENGTH} characters: lower case letters, digits and hyphens, with a
letter in front. Sections that may change at any time: {", ".join(f"`{name}`" for name in sorted(MUTABLE))}.
All others are fixed once the first attempt has started; the API server refuses a change and says which section it was.
"""

_REASONS: Final = """# Reasons

Why an attempt or a job ended, as `status.lastFailure.reason` and the events name it. The trainer exits with the code;
a reason without one is seen by the operator from outside. The budgets are those of `spec.restart`.

| reason | exit code | retried | what to do |
| --- | --- | --- | --- |
"""

_RETRIED: Final = {Budget.NONE: "never", Budget.FREE: "always, no budget is charged"}


def job_reference() -> str:
    """`docs/reference.md`."""
    parts = [_INTRODUCTION, *_sections(JobSpec, spec_tree(), "spec")]
    parts += _sections(JobStatus, inline_schema(JobStatus), "status")
    return "\n".join(parts)


def reasons_reference() -> str:
    """`docs/reasons.md`."""
    rows = []
    for reason, facts in REASONS.items():
        code = "-" if facts.exit_code is None else str(facts.exit_code)
        retried = _RETRIED.get(facts.budget, f"`restart.{facts.budget}`")
        rows.append(f"| `{reason}` | {code} | {retried} | {_cell(facts.hint) or '-'} |\n")
    return _REASONS + "".join(rows)


def _sections(model: type[ApiModel], node: Schema, path: str) -> Iterator[str]:
    """A heading, a table of fields and the rules of an object, then the same of the objects below it."""
    required = node.get("required", ())
    yield f"## {path}\n\n{_one_line(node['description'])}\n"
    yield "| field | type | default | meaning |\n| --- | --- | --- | --- |"
    for field in model.model_fields.values():
        name = str(field.alias)
        inner = node["properties"][name]
        kind = _kind(inner) + _allowed(inner, [field.annotation, *field.metadata])
        default = "required" if name in required else f"`{inner['default']}`" if "default" in inner else ""
        yield f"| `{name}` | {_cell(kind)} | {default} | {_cell(inner['description'])} |"
    if model.RULES:
        yield "\nRules:\n\n" + "\n".join(f"- {_rule(rule)}" for rule in model.RULES)
    yield ""
    for field in model.model_fields.values():
        child = nested_model(field.annotation)
        if child is not None:
            inner = node["properties"][str(field.alias)]
            below = f"{path}.{field.alias}"
            yield from (
                _sections(child, inner["items"], f"{below}[]") if "items" in inner else _sections(child, inner, below)
            )


def _kind(node: Schema) -> str:
    if INT_OR_STRING in node:
        return "integer or string"
    if "items" in node:
        return f"list of {_kind(node['items'])}"
    if isinstance(node.get("additionalProperties"), dict):
        return f"map to {_kind(node['additionalProperties'])}"
    return str(node["type"])


def _allowed(node: Schema, annotations: list[Any]) -> str:
    """What a value may be, after its type."""
    node = node.get("items", node)
    values = node.get("enum", [node["const"]] if "const" in node else [])
    if values:
        return ": " + ", ".join(f"`{value}`" for value in values)
    bounds = [
        f"{words} {node[key]}"
        for key, words in (
            ("minimum", "at least"),
            ("exclusiveMinimum", "more than"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "less than"),
        )
        if key in node
    ]
    bounds += [text.allowed for text in _texts(annotations)]
    return ", " + ", ".join(bounds) if bounds else ""


def _texts(annotations: Any) -> Iterator[Text]:
    for part in annotations:
        if isinstance(part, Text):
            yield part
        else:
            yield from _texts([*get_args(part), *getattr(part, "metadata", ())])


def _rule(rule: Rule) -> str:
    return _one_line(fill_placeholders(rule.message, lambda path: "..."))


def _cell(text: str) -> str:
    return _one_line(text).replace("|", "\\|")


def _one_line(text: str) -> str:
    return " ".join(text.split())
