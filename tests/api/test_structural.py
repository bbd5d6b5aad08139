"""What a structural schema may hold, and what the generator refuses."""

import re
from typing import Annotated, Any

import pytest
from pydantic import Field

from peft_fsdp_api.schema import ApiModel
from peft_fsdp_api.structural import (
    NotStructural,
    default_text,
    inline_schema,
    optional_without_default,
    structural,
)


class Inner(ApiModel):
    """An inner object."""

    rate: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """A rate."""


class Outer(ApiModel):
    """An outer object."""

    inner: Inner | None = None
    """The inner object."""
    count: int
    """How many."""
    anything: dict[str, Any] = {}
    """Whatever Kubernetes knows."""


def schema() -> dict[str, Any]:
    return structural(inline_schema(Outer), "spec")


def test_references_and_nulls_are_gone() -> None:
    assert schema()["properties"]["inner"]["properties"].keys() == {"rate"}
    assert schema()["required"] == ["count"]


def test_exclusive_bounds_are_flags() -> None:
    rate = schema()["properties"]["inner"]["properties"]["rate"]
    assert (rate["minimum"], rate["exclusiveMinimum"]) == (0, True)
    assert (rate["maximum"], rate["exclusiveMaximum"]) == (1, True)
    assert rate["type"] == "number"


def test_a_default_ends_the_description_and_is_no_keyword() -> None:
    rate = schema()["properties"]["inner"]["properties"]["rate"]
    assert rate["description"] == "A rate. Default: 0.5."
    assert "default" not in rate


def test_open_objects_say_so() -> None:
    anything = schema()["properties"]["anything"]
    assert anything["x-kubernetes-preserve-unknown-fields"] is True
    assert "additionalProperties" not in anything


@pytest.mark.parametrize("keyword", ["oneOf", "not", "uniqueItems", "patternProperties", "nullable", "$ref"])
def test_keywords_that_are_not_structural_are_refused(keyword: str) -> None:
    with pytest.raises(NotStructural, match=f"spec.a: a structural schema has no {re.escape(keyword)}"):
        structural(
            {"type": "object", "description": "A.", "properties": {"a": {keyword: [], "description": "B."}}}, "spec"
        )


@pytest.mark.parametrize("node", [{"items": {"type": "string"}}, {"additionalProperties": {"type": "string"}}])
def test_every_node_needs_a_description(node: dict[str, Any]) -> None:
    with pytest.raises(NotStructural, match=r"spec.*: needs a description"):
        structural({"type": "array", "description": "A.", **node}, "spec")


def test_a_field_of_several_types_is_refused() -> None:
    class Several(ApiModel):
        """Several."""

        either: int | str = 1
        """Either."""

    with pytest.raises(NotStructural, match="several types"):
        inline_schema(Several)


def test_silence_about_absence_is_found() -> None:
    class Silent(ApiModel):
        """Silent."""

        limit: int | None = None
        """Upper bound."""
        spoken: int | None = None
        """Upper bound; absent means none."""

    assert list(optional_without_default(inline_schema(Silent), "spec")) == ["spec.limit"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (16, "16"), (2e-4, "0.0002"), (1.0, "1"), (["a", "b"], "[a, b]"), (None, ""), (Inner(), "")],
)
def test_defaults_read_like_yaml(value: object, text: str) -> None:
    assert default_text(value) == text


def test_a_default_object_shows_what_is_not_its_own_default() -> None:
    assert default_text(Inner(rate=0.25)) == "{rate: 0.25}"
