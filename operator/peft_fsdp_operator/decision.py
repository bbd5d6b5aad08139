"""What the operator makes of what it sees: a status to write, and what to do once it is written.

Made by `decide`, carried out by `reconcile`.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final, Literal

from peft_fsdp_api.status import JobStatus

from .seen import PodSeen

CREATING_PODS: Final = "CreatingPods"
STARTING_PODS: Final = "StartingPods"


class Shared(Enum):
    """What becomes of the Service and the ConfigMap."""

    ENSURE = "ensure"
    LEAVE = "leave"
    REMOVE = "remove"


@dataclass(frozen=True)
class Notice:
    """An event for `kubectl describe`, posted after the status was written."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True)
class Decision:
    """The outcome of one look at a job. The status is written first; then the rest is done."""

    status: JobStatus
    """Without conditions: these follow from it."""
    reason: str
    """CamelCase word for the conditions and the log."""
    message: str
    """One sentence for the conditions and the log."""
    create: tuple[int, ...] = ()
    """Workers of the current attempt whose pods are to be made."""
    delete: tuple[PodSeen, ...] = ()
    force: tuple[PodSeen, ...] = ()
    """Pods of nodes that are given up, to be deleted without waiting for these."""
    shared: Shared = Shared.LEAVE
    look_again: datetime | None = None
    """When time alone may change the decision."""
    notice: Notice | None = None
    is_stuck: bool = False
    """Waits for something that will not happen by itself."""
    is_doubtful: bool = False
    """All pods run as far as anybody knows, and a worker's node does not answer: whether it trains cannot be told."""
    from_absence: bool = False
    """Concluded from pods that are not there: to be confirmed by a live list."""
