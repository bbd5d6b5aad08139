"""What `python -m tests.specs` makes and says; tests/apiserver/test_specs.py runs a part of it."""

from tests.specs.generator import generate
from tests.specs.verdicts import Answer, complaints

SEEDS = range(1, 101)
VALID = Answer(201, "")


def test_a_seed_gives_the_same_job_every_time():
    assert [generate(seed) for seed in range(50)] == [generate(seed) for seed in range(50)]


def test_a_disagreement_is_told():
    refused = next(one for one in map(generate, SEEDS) if list(complaints(one, VALID)))
    [told, *_] = complaints(refused, VALID)
    assert "the API server: 201 valid" in told


def test_a_refusal_that_names_another_field_is_told():
    refused = next(one for one in map(generate, SEEDS) if list(complaints(one, VALID)))
    [told] = complaints(refused, Answer(422, "spec.elsewhere is wrong"))
    assert told.startswith("the API server names none of")
