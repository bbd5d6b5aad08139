"""Leaves the outcome where the kubelet picks it up: the container's termination message."""

import logging
from pathlib import Path

from peft_fsdp_api.outcome import Outcome

log = logging.getLogger(__name__)


def write_termination_message(outcome: Outcome, path: Path) -> None:
    """Write the outcome; where the file cannot be written, the log gets it, because nobody else would ever know."""
    message = outcome.to_termination_message()
    try:
        path.write_text(message)
    except OSError as error:
        log.error("cannot write the termination message %s: %s\n%s", path, error, message)
