"""What ends an attempt, or the wait for the next one, is looked at without a rest."""

import pytest

from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.status import Phase
from peft_fsdp_operator.seen import SharedSeen
from peft_fsdp_operator.urgency import cannot_wait
from tests.controller.builders import at, ended, failed, pod, running

LOST = failed(0, Reason.LOST_PEER)
STOPPING = running(0, deleted_at=at(30))
SERVICE = SharedSeen("team", "tune", "s", 1, "tune", "u1", {})


@pytest.mark.parametrize(
    ("phase", "child", "there", "last", "urgent"),
    [
        (Phase.STARTING, pod(0), True, False, False),
        (Phase.STARTING, running(0), True, False, False),
        (Phase.RUNNING, ended(0), True, False, False),
        (Phase.RUNNING, LOST, True, False, True),
        (Phase.PENDING, LOST, True, False, True),
        (Phase.RUNNING, STOPPING, True, False, True),
        (Phase.RUNNING, running(0), False, False, True),
        (Phase.RESTARTING, STOPPING, True, False, False),
        (Phase.RESTARTING, LOST, False, False, False),
        (Phase.RESTARTING, LOST, False, True, True),
        (Phase.SUSPENDING, STOPPING, False, True, True),
        (Phase.RUNNING, SERVICE, False, False, False),
        ("New", pod(0), True, False, False),
    ],
)
def test_what_cannot_wait(phase, child, there, last, urgent):
    assert cannot_wait(phase, child, there, last) is urgent
