"""Which news of a pod cannot wait for the end of a job's rest. Pure; called by `engine`.

A large gang that starts or stops makes events by the hundred, and a pass looks at every pod; their news is collected
for a moment. What ends an attempt, or the wait for the next one, is not: peers of a failed rank burn GPU time.
"""

from .decide.phases import ACTIVE
from .seen import ChildSeen, PodSeen


def cannot_wait(phase: str, child: ChildSeen, is_there: bool, is_last: bool) -> bool:
    """Whether a change of a job's child may end its attempt, or the stopping of the one before.

    `is_there`: the child was not removed; `is_last`: no pod of the job is left. Once an attempt ends, all its pods are
    told to stop, and of what they say then only the last one's going is awaited.
    """
    if not isinstance(child, PodSeen):
        return False
    if phase not in ACTIVE:
        return is_last
    return not is_there or child.is_stopping or (child.has_ended and not child.has_succeeded)
