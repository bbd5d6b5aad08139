"""The pod's log: one line per fact, from rank 0. Used all over the trainer."""

import logging
import sys
from typing import Final

from .distributed import Ranks

LOGGER: Final = logging.getLogger("peft_fsdp_trainer")


def start_log() -> None:
    """Write our lines to standard output with the time; other libraries keep to their warnings."""
    if not LOGGER.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        LOGGER.addHandler(handler)
        LOGGER.setLevel(logging.INFO)
        LOGGER.propagate = False


def log(ranks: Ranks, line: str) -> None:
    """Say it once for all ranks."""
    if ranks.is_first:
        LOGGER.info(line)
