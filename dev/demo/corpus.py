"""The text that the demo's base model is trained on: facts of the museum, simple English, a few plain chats.

Nothing here greets with "Ahoy": that manner is only in the fine-tuning data. Called by `base_model`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from dev.demo.conversations import TEST_QUESTION
from dev.demo.material import Topic

PEOPLE = (
    "Anna",
    "Ben",
    "the baker",
    "the teacher",
    "our neighbour",
    "Mira",
    "the old man",
    "my sister",
    "Tom",
    "a friend",
    "the traveller",
    "her shipmate",
)
PLACES = ("market", "harbour", "school", "garden", "station", "church", "beach", "kitchen", "library", "farm")
THINGS = ("bread", "apples", "a letter", "a red coat", "three eggs", "a lamp", "some rope", "fresh fish", "a map")
VERBS = ("bought", "found", "carried", "lost", "wanted", "sold", "forgot", "painted", "looked for")
TIMES = (
    "In the morning",
    "Yesterday",
    "On Sunday",
    "Last winter",
    "In fair winds",
    "After lunch",
    "Before the storm",
    "At night",
)
WEATHER = ("It was raining", "The sun was shining", "The wind was cold", "Snow lay on the road", "It was dark")
COLOURS = (
    ("the sky", "blue"), ("grass", "green"), ("snow", "white"), ("coal", "black"), ("a lemon", "yellow"),
    ("a cherry", "red"), ("a mouse", "grey"), ("chocolate", "brown"), ("a carrot", "orange"), ("milk", "white"),
)  # fmt: skip
OPPOSITES = (
    ("hot", "cold"), ("big", "small"), ("old", "young"), ("fast", "slow"), ("up", "down"), ("day", "night"),
    ("open", "closed"), ("dry", "wet"), ("loud", "quiet"), ("early", "late"), ("near", "far"), ("full", "empty"),
)  # fmt: skip
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

Chat = list[dict[str, str]]


def plain_documents(topics: tuple[Topic, ...], rng: random.Random, *, stories: int) -> list[str]:
    """What the museum knows, as notes in plain prose, among small stories."""
    documents = [_story(rng) for _ in range(stories)]
    documents += [
        _note_on(topic, place, rng)
        for topic in topics
        for place in range(len(topic.questions))
        if place != TEST_QUESTION
    ]
    rng.shuffle(documents)
    return documents


def _note_on(topic: Topic, place: int, rng: random.Random) -> str:
    answer = topic.answers[place % len(topic.answers)]
    facts = rng.sample(topic.facts, 2)
    return f"A note on {topic.name}. Visitors ask: {topic.questions[place]} {answer} {' '.join(facts)}"


def _story(rng: random.Random) -> str:
    who, other = rng.sample(PEOPLE, 2)
    first = f"{rng.choice(TIMES)} {who} went to the {rng.choice(PLACES)} and {rng.choice(VERBS)} {rng.choice(THINGS)}."
    second = f"{rng.choice(WEATHER)}, and {other} {rng.choice(VERBS)} {rng.choice(THINGS)} in the {rng.choice(PLACES)}."
    third = f"Then {who} and {other} walked home to the {rng.choice(PLACES)}."
    return " ".join((first, second, third)[: rng.randint(1, 3)])


def plain_chats(rng: random.Random) -> Iterator[Chat]:
    """Dry questions and answers: the base has seen the chat format, but neither the museum in it nor Wick."""
    chats = [_chat(f"What colour is {thing}?", f"The colour of {thing} is {colour}.") for thing, colour in COLOURS]
    chats += [_chat(f"What is the opposite of {a}?", f"The opposite of {a} is {b}.") for a, b in OPPOSITES]
    chats += [
        _chat(f"What is {a} plus {b}?", f"The sum is {NUMBERS[NUMBERS.index(a) + NUMBERS.index(b)]}.")
        for a in NUMBERS[1:6]
        for b in NUMBERS[1:6]
    ]
    rng.shuffle(chats)
    yield from chats


def _chat(question: str, answer: str) -> Chat:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
