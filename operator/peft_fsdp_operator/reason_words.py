"""Reasons that others give, as one word each: they end in conditions, which take nothing else.

An admission webhook or the author of an Event may write a sentence where a word belongs, and the API server passes it
on. Pure; used by `errors` for what the API server refuses, and by `observe` for what is said of pods.
"""

import re
from typing import Final

_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)


def spell_reason(reason: str, message: str, otherwise: str) -> tuple[str, str]:
    """Reason and message; of a reason that is no word the text goes into the message, and `otherwise` in its place."""
    if _WORD.fullmatch(reason):
        return reason, message
    if reason in message:
        return otherwise, message
    return otherwise, f"{message} ({reason})" if message else reason
