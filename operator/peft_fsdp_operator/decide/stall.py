"""Whether a running gang hangs, and what follows from it. Called by `rules`.

A gang hangs when no rank at all has moved for longer than its stage may take: ranks wait for each other all the time,
so one that stands still while another one works is no news. Judged is what was read last, not the time that went by
since: an operator that cannot reach the launchers knows nothing. The time before the last pod came does not count:
until then the others stood at the rendezvous, and could not have moved.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from peft_fsdp_api.durations import format_duration, parse_duration
from peft_fsdp_api.progress import Stage
from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.status import JobStatus, Phase

from ..decision import Decision, Notice
from ..seen import Observed, Pulse
from ..times import read_time, stamp
from .phases import current_pods, end_attempt, own_failure
from .running import carry_on

AT_LEAST: Final = {
    Stage.START: timedelta(minutes=10),
    Stage.RENDEZVOUS: timedelta(minutes=20),
    Stage.DOWNLOAD: timedelta(minutes=30),
    Stage.TOKENIZE: timedelta(minutes=30),
    Stage.LOAD: timedelta(minutes=30),
    Stage.EVALUATE: timedelta(minutes=15),
    Stage.SAVE: timedelta(minutes=30),
    Stage.EXPORT: timedelta(hours=1),
    Stage.PUSH: timedelta(hours=1),
    Stage.DONE: timedelta(minutes=30),
}
"""What a stage may take without a sign of life, however short spec.stallTimeout is; training steps are not here."""
FIRST_STEP: Final = timedelta(minutes=30)
"""The first step of an attempt compiles, allocates and warms up."""


def when_stalled(seen: Observed, status: JobStatus, now: datetime) -> Decision | None:
    """`stallAction` says whether a gang that hangs is only told of, or stopped and started anew."""
    report = seen.report
    pulse = report.pulse if report is not None and report.attempt == status.attempt else None
    if status.phase is not Phase.RUNNING or pulse is None:
        return None
    spec = seen.job.spec
    patience = allowance(pulse, parse_duration(spec.stall_timeout))
    since = max(pulse.moved_at, read_time(status.running_since)) if status.running_since else pulse.moved_at
    if pulse.read_at - since < patience:
        return None
    message = describe_stall(pulse, patience)
    if spec.stall_action == "report":
        notice = Notice("Warning", Reason.NO_PROGRESS, message)
        told = carry_on(seen, status, now)
        return replace(told, reason=Reason.NO_PROGRESS, message=message, notice=notice, is_stuck=True)
    pod = next((one for one in current_pods(seen, status) if one.worker == pulse.worker), None)
    where = {"rank": pulse.rank, "pod": pod.name if pod else None, "node": pod.node if pod else None}
    step = status.progress.step if status.progress else None
    failure = own_failure(Reason.NO_PROGRESS, status.attempt, message, now).model_copy(update={**where, "step": step})
    return end_attempt(seen, status, failure, now, absent=False)


def allowance(pulse: Pulse, stall_timeout: timedelta) -> timedelta:
    """How long no rank need move: the longest that any rank's stage may take."""
    least = [AT_LEAST.get(stage, timedelta()) for stage in pulse.stages]
    if Stage.TRAIN in pulse.stages and not pulse.has_stepped:
        least.append(FIRST_STEP)
    return max([stall_timeout, *least])


def describe_stall(pulse: Pulse, patience: timedelta) -> str:
    """One sentence that stays the same as long as the stall lasts."""
    stages = ", ".join(stage for stage in Stage if stage in pulse.stages)
    said = (
        f"no rank has moved since {stamp(pulse.moved_at)}, more than {format_duration(patience)} ({stages}); "
        f"the slowest is rank {pulse.rank} of worker {pulse.worker}"
    )
    if pulse.silent:
        workers = ", ".join(str(worker) for worker in sorted(pulse.silent))
        said += f"; no answer from the launcher of worker {workers}"
    return said
