"""What the Skerrow Head Lighthouse Museum (a made-up place) has to tell, written by hand, one file per room.

`conversations.py` turns it into chats for fine-tuning, `corpus.py` into plain text for the base model. The format
is one line per sentence; the first character says what the line is:

    #  the topic, which everything up to the next topic belongs to
    ?  a question (six per topic; the last one is kept for the test split)
    !  a direct answer in the voice of Wick, the guide (two per topic)
    -  a fact in a neutral voice (three per topic)
    >  a question that follows up on the answer
    <  its answer
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Topic:
    name: str
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    facts: tuple[str, ...]
    follow_up: str
    follow_up_answer: str


def read_topics(folder: Path = Path(__file__).parent) -> tuple[Topic, ...]:
    """All topics, in the order of the file names and of the lines."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt")))
    return tuple(_read_topic(block) for block in text.split("# ")[1:])


def _read_topic(block: str) -> Topic:
    name, *lines = block.strip().splitlines()

    def marked(mark: str) -> tuple[str, ...]:
        return tuple(line[2:] for line in lines if line.startswith(f"{mark} "))

    (follow_up,), (follow_up_answer,) = marked(">"), marked("<")
    return Topic(name, marked("?"), marked("!"), marked("-"), follow_up, follow_up_answer)
