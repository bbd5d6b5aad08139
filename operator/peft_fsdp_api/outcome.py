"""How a pod ended: written by the launcher as the container's termination message, read by the operator."""

from pydantic import ValidationError

from .names import TERMINATION_MESSAGE_BYTES
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
    checkpoint: CheckpointStatus | None = None
    """Newest committed checkpoint."""
    adapter: AdapterStatus | None = None
    """The finished adapter."""

    def to_termination_message(self) -> str:
        """JSON of at most 4096 bytes; the beginning of the traceback, then the end of the message, give way."""
        text = self.model_dump_json(by_alias=True, exclude_none=True)
        excess = len(text.encode()) - TERMINATION_MESSAGE_BYTES
        if excess <= 0:
            return text
        if self.traceback:
            # Escaped characters take up to six bytes in JSON, so cut generously and try again.
            kept = self.traceback[excess:] if excess < len(self.traceback) else ""
            return self.model_copy(update={"traceback": kept}).to_termination_message()
        shorter = self.message[: max(0, len(self.message) - excess)]
        return self.model_copy(update={"message": shorter}).to_termination_message()


def parse_outcome(termination_message: str | None) -> Outcome | None:
    """The outcome in a termination message, or None where the container left none that can be read."""
    if not termination_message:
        return None
    try:
        return Outcome.model_validate_json(termination_message, strict=False)
    except ValidationError:
        return None
