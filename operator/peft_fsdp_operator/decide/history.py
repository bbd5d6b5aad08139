"""What is remembered of failed attempts: the last ones in short, and the nodes on which the job failed repeatedly.

Called by `phases` when an attempt ends with a failure.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from peft_fsdp_api.reasons import REASONS, Budget, Reason
from peft_fsdp_api.status import Failure, PastFailure

KEPT: Final = 10
MESSAGE_MAX: Final = 256
REPEATEDLY: Final = 2
AVOIDED_MAX: Final = 3
"""Avoiding is a wish, never a must, and a short list: most failures that repeat are no node's fault."""

# Failures that a node can be the cause of; who deleted a pod or took it away had reasons of their own.
NODES_OWN: Final = frozenset({Budget.APPLICATION, Budget.INFRASTRUCTURE})


def remember(past: Sequence[PastFailure], failure: Failure) -> list[PastFailure]:
    """The last failures with the newest at the end."""
    lines = failure.message.strip().splitlines()
    short = PastFailure(
        attempt=failure.attempt,
        reason=failure.reason,
        rank=failure.rank,
        pod=failure.pod,
        node=failure.node,
        exit_code=failure.exit_code,
        step=failure.step,
        message=lines[-1][:MESSAGE_MAX] if lines else "",
        time=failure.time,
    )
    return [*past, short][-KEPT:]


def nodes_to_avoid(past: Sequence[PastFailure]) -> list[str]:
    """The nodes on which the job failed more than once lately, the worst first."""
    counts = Counter(one.node for one in past if one.node and _may_be_the_nodes(Reason(one.reason)))
    return [node for node, count in counts.most_common(AVOIDED_MAX) if count >= REPEATEDLY]


def _may_be_the_nodes(reason: Reason) -> bool:
    return REASONS[reason].budget in NODES_OWN and reason is not Reason.POD_DELETED
