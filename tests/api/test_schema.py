"""Rules: one text that is a CEL expression, a Python predicate and a sentence."""

from typing import ClassVar

import pytest
from pydantic import ValidationError

from peft_fsdp_api.schema import ApiModel, Problem, Rule, broken_rules, cel_expression, cel_message


class Leaf(ApiModel):
    """A leaf."""

    size: int = 3
    kind: str = 'a"b'


class Tree(ApiModel):
    """A tree."""

    name: str
    leaf: Leaf = Leaf()
    leaves: list[Leaf] = []
    grown: bool = False
    grown_up: bool = False

    RULES: ClassVar = (
        Rule(
            cel="{leaf.size} < 5",
            holds=lambda tree: tree.leaf.size < 5,
            message="{name} has a leaf of {leaf.size}, 100% too much; grown is {grown}",
            field="leaf.size",
        ),
    )


class Wood(ApiModel):
    """A wood."""

    trees: list[Tree] = []
    tallest: Tree | None = None


def test_an_absent_field_counts_as_its_default_in_cel() -> None:
    assert cel_expression("{leaf.size} < 5", Tree) == "(has(self.leaf) && has(self.leaf.size) ? self.leaf.size : 3) < 5"


def test_a_rule_holds_where_a_required_field_is_missing_because_the_schema_says_that() -> None:
    assert cel_expression("{name} != 'x'", Tree) == "!has(self.name) || (self.name != 'x')"
    assert cel_expression("self.name.startsWith('x')", Tree) == "!has(self.name) || (self.name.startsWith('x'))"


def test_below_an_optional_object_a_required_field_is_missed_only_where_the_object_is_there() -> None:
    guards = "(has(self.tallest) && !has(self.tallest.name)) || "
    assert cel_expression("self.tallest.name != 'x'", Wood) == f"{guards}(self.tallest.name != 'x')"


def test_text_defaults_are_quoted() -> None:
    assert cel_expression("{kind}", Leaf) == r'(has(self.kind) ? self.kind : "a\"b")'


def test_a_message_with_values_is_one_format_call() -> None:
    message = cel_message("{name} is 100% {grown}", Tree)
    assert message == '"%s is 100%% %s".format([self.name, (has(self.grown) ? self.grown : false)])'


def test_a_message_without_values_stays_a_string() -> None:
    assert cel_message("set exactly one", Tree) is None


@pytest.mark.parametrize("path", ["name.first", "leaf.color", "crown"])
def test_a_rule_about_a_field_that_is_not_there_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="has no"):
        cel_expression(f"{{{path}}}", Tree)


def test_broken_rules_name_field_and_values() -> None:
    wood = Wood(trees=[Tree(name="oak"), Tree(name="ash", leaf=Leaf(size=9), grown=True)])
    sentence = "ash has a leaf of 9, 100% too much; grown is true"
    assert list(broken_rules(wood)) == [Problem("trees[1].leaf.size", sentence)]


def test_null_is_absent() -> None:
    assert Tree.model_validate({"name": "oak", "leaf": None, "leaves": None}) == Tree(name="oak")


@pytest.mark.parametrize("name", ["colour", "grown_up"])
def test_an_unknown_field_is_refused_though_it_is_null(name: str) -> None:
    """As the API server does; a field in Python's spelling is unknown on the wire."""
    with pytest.raises(ValidationError, match="Extra inputs"):
        Tree.model_validate({"name": "oak", name: None}, by_alias=True, by_name=False)
