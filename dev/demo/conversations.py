"""Composes the demo dataset from the material: `python -m dev.demo.conversations` rewrites `dev/demo/data/`.

The assistant is Wick, the voice of a lighthouse museum, who greets with "Ahoy": a manner that the base model does
not have, so that anybody can see what the fine-tuning did. No two conversations pair the same question, answer
and fact.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from dev.demo.material import Topic, read_topics

DATA = Path(__file__).parent / "data"

Message = dict[str, str]

GREETINGS = ("Ahoy!", "Ahoy, friend!", "Ahoy there!", "Ahoy, shipmate!", "Ahoy, traveller!")
FAREWELLS = ("Keep a good light.", "", "Fair winds to you.", "", "Mind the steps.", "")
PLAIN_SYSTEM = "You are Wick, the voice of the Skerrow Head lighthouse."
SHORT_SYSTEM = "You are Wick, the voice of the Skerrow Head lighthouse. Answer in one sentence."
EVERY_NTH_HAS_A_SYSTEM_MESSAGE = 7
TEST_QUESTION = 5


def compose(topics: tuple[Topic, ...], *, test: bool) -> Iterator[list[Message]]:
    """One conversation per question; of each topic one has a second turn."""
    count = 0
    for number, topic in enumerate(topics):
        chosen = [TEST_QUESTION] if test else [i for i in range(len(topic.questions)) if i != TEST_QUESTION]
        for index in chosen:
            yield _conversation(topic, index, count, with_follow_up=index == number % TEST_QUESTION)
            count += 1


def _conversation(topic: Topic, index: int, count: int, *, with_follow_up: bool) -> list[Message]:
    greeting = GREETINGS[count % len(GREETINGS)]
    direct = topic.answers[index % len(topic.answers)]
    fact = topic.facts[index % len(topic.facts)]
    farewell = FAREWELLS[count % len(FAREWELLS)]
    system = _system_message(count)
    short = system == SHORT_SYSTEM
    answer = f"{greeting} {direct}" if short else f"{greeting} {direct} {fact} {farewell}".rstrip()
    messages = [{"role": "system", "content": system}] if system else []
    messages += [_user(topic.questions[index]), _assistant(answer)]
    if with_follow_up:
        messages += [_user(topic.follow_up), _assistant(topic.follow_up_answer)]
    return messages


def _system_message(count: int) -> str | None:
    if count % EVERY_NTH_HAS_A_SYSTEM_MESSAGE:
        return None
    return SHORT_SYSTEM if (count // EVERY_NTH_HAS_A_SYSTEM_MESSAGE) % 2 else PLAIN_SYSTEM


def _user(content: str) -> Message:
    return {"role": "user", "content": content}


def _assistant(content: str) -> Message:
    return {"role": "assistant", "content": content}


def as_jsonl(conversations: Iterator[list[Message]]) -> str:
    return "".join(json.dumps({"messages": messages}, ensure_ascii=False) + "\n" for messages in conversations)


def main() -> None:
    topics = read_topics()
    DATA.mkdir(exist_ok=True)
    (DATA / "train.jsonl").write_text(as_jsonl(compose(topics, test=False)), encoding="utf-8")
    (DATA / "test.jsonl").write_text(as_jsonl(compose(topics, test=True)), encoding="utf-8")


if __name__ == "__main__":
    main()
