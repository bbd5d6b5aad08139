"""Leaves the outcome where the kubelet picks it up: the container's termination message."""

import sys
from pathlib import Path

from peft_fsdp_api.outcome import Outcome


def write_termination_message(outcome: Outcome, path: Path) -> None:
    """Write the outcome; where the file cannot be written, the log gets it, because nobody else would ever know."""
    message = outcome.to_termination_message()
    try:
        path.write_text(message)
    except OSError as error:
        print(f"peft-fsdp: cannot write the termination message {path}: {error}\n{message}", file=sys.stderr)  # noqa: T201
