"""Pods that the API server does not let us delete: an admission policy refuses it, or a webhook that does not answer.

Called by `rules` with what was decided. Without its words the status would say for ever that the next attempt follows.
"""

from dataclasses import replace
from datetime import datetime

from peft_fsdp_api.status import Waiting

from ..decision import Decision, Notice
from ..seen import Observed
from .phases import changed


def while_undeleted(decision: Decision, seen: Observed, now: datetime) -> Decision:
    """What was decided, with the API server's words, and one pod at a time until it lets one go. A new phase is told by
    itself first, and all its pods are tried."""
    refusal = seen.undeleted
    is_new = decision.status.phase is not seen.status.phase
    if refusal is None or is_new or not (decision.delete or decision.force):
        return decision
    waiting = Waiting(
        worker=refusal.worker, reason=refusal.reason, message=f"pods cannot be deleted: {refusal.message}"
    )
    told = seen.status.waiting.reason if seen.status.waiting else None
    notice = None if told == waiting.reason else Notice("Warning", waiting.reason, waiting.message)
    is_due = now >= refusal.retry_at
    moments = [moment for moment in (decision.look_again, refusal.retry_at) if moment is not None]
    return replace(
        decision,
        status=changed(decision.status, waiting=waiting),
        reason=waiting.reason,
        message=waiting.message,
        delete=decision.delete[:1] if is_due else (),
        force=decision.force[:1] if is_due else (),
        look_again=decision.look_again if is_due else min(moments),
        notice=decision.notice or notice,
    )
