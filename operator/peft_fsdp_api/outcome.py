"""How a pod ended: written by the launcher as the container's termination message, read by the operator."""

from pydantic import ValidationError

from .names import TERMINATION_MESSAGE_BYTES
from .progress import TrainingProgress
from .reasons import Reason
from .schema import ApiModel
from .status import AdapterStatus, CheckpointStatus


class Outcome(ApiModel):
    """The end of one pod's part of an attempt."""

    reason: Reason
    """Why it ended."""
    message: str = ""
    """One or two sentences: what happened and to which field, file or step."""
    hint: str = ""
    """What to change."""
    traceback: str = ""
    """Last lines of the traceback of the rank that failed first; empty for errors that explain themselves."""
    rank: int | None = None
    """Global rank that failed first."""
    step: int | None = None
    """Optimizer step it had reached."""
    training: TrainingProgress | None = None
    """Last figures of the training; only worker 0 has them."""
    checkpoint: CheckpointStatus | None = None
    """Newest committed checkpoint."""
    adapter: AdapterStatus | None = None
    """The finished adapter."""

    def to_termination_message(self) -> str:
        """JSON of at most 4096 bytes; the beginning of the traceback, then the ends of message and hint, give way."""
        outcome = self
        for name in ("traceback", "message", "hint"):
            excess = len(outcome._json().encode()) - TERMINATION_MESSAGE_BYTES
            if excess <= 0:
                break
            # A character takes at least one byte in JSON, so as many characters as there are bytes too many do.
            text: str = getattr(outcome, name)
            kept = text[excess:] if name == "traceback" else text[: max(0, len(text) - excess)]
            outcome = outcome.model_copy(update={name: kept})
        return outcome._json()

    def _json(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_none=True)


def parse_outcome(termination_message: str | None) -> Outcome | None:
    """The outcome in a termination message, or None where the container left none that can be read."""
    if not termination_message:
        return None
    try:
        return Outcome.model_validate_json(termination_message, strict=False)
    except ValidationError:
        return None
