"""Conditions from a decision: what kstatus, Argo CD and `kubectl wait` read. Pure; called by `reconcile`.

kstatus: Reconciling means in progress, Stalled means failed, Ready=True means that what the spec asks for is the case:
the job is done, runs well, or rests because the spec says so (without that, a suspended job would be in progress for
ever). So exactly one of the three is true at any time, or none while a run loads or a worker's node does not answer.
"""

from datetime import datetime
from typing import Final

from peft_fsdp_api.progress import Stage
from peft_fsdp_api.status import Condition, ConditionType, JobStatus, Phase

from .decision import Decision
from .times import stamp

IN_PROGRESS: Final = frozenset({Phase.PENDING, Phase.STARTING, Phase.RESTARTING, Phase.SUSPENDING})
# Once worker 0's ranks train, all ranks have met, loaded and sharded the model.
TRAINING: Final = frozenset({Stage.TRAIN, Stage.EVALUATE, Stage.SAVE, Stage.EXPORT, Stage.PUSH, Stage.DONE})
HEADLINES: Final = (ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED)
MESSAGE_MAX: Final = 4096


def with_conditions(decision: Decision, before: list[Condition], now: datetime) -> JobStatus:
    """The whole status to write; a condition keeps its time as long as its value stays."""
    status = decision.status
    old = {condition.type: condition for condition in before}
    reason, message = _latched(old) or (decision.reason, decision.message[:MESSAGE_MAX])
    conditions = []
    for kind, value in _values(decision).items():
        same = old.get(kind)
        kept = same is not None and same.status == _word(value)
        conditions.append(
            Condition(
                type=kind,
                status=_word(value),
                reason=reason if value or kind in HEADLINES else str(status.phase),
                message=message if value or kind in HEADLINES else "",
                last_transition_time=same.last_transition_time if same and kept else stamp(now),
                observed_generation=status.observed_generation or 0,
            )
        )
    return status.model_copy(update={"conditions": conditions})


def _latched(old: dict[str, Condition]) -> tuple[str, str] | None:
    """How the job ended, once it has: later looks have nothing to add."""
    for kind in (ConditionType.COMPLETE, ConditionType.FAILED):
        if kind in old and old[kind].status == "True":
            return old[kind].reason, old[kind].message
    return None


def _values(decision: Decision) -> dict[ConditionType, bool]:
    status, is_stuck = decision.status, decision.is_stuck
    trains = _trains(status) and not decision.is_doubtful
    failed, complete = status.phase is Phase.FAILED, status.phase is Phase.SUCCEEDED
    suspended = status.phase is Phase.SUSPENDED
    return {
        ConditionType.READY: not is_stuck and (complete or suspended or trains),
        ConditionType.RECONCILING: not is_stuck and status.phase in IN_PROGRESS,
        ConditionType.STALLED: is_stuck or failed,
        ConditionType.COMPLETE: complete,
        ConditionType.FAILED: failed,
        ConditionType.SUSPENDED: suspended,
    }


def _trains(status: JobStatus) -> bool:
    return status.phase is Phase.RUNNING and status.progress is not None and status.progress.stage in TRAINING


def _word(value: bool) -> str:
    return "True" if value else "False"
