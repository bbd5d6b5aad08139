"""When a gang hangs: what was seen of its ranks, and what is decided."""

from dataclasses import replace
from datetime import timedelta

import pytest

from peft_fsdp_api.progress import Progress, Stage, TrainingProgress
from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.status import Phase
from peft_fsdp_operator.conditions import with_conditions
from peft_fsdp_operator.decide import decide
from peft_fsdp_operator.pulse import GangMemory
from peft_fsdp_operator.seen import LauncherReport, Pulse
from tests.controller.builders import NOW, at, job, pod, running, seen, status

LONG_AGO = at(-7200)


def after(seconds):
    return NOW + timedelta(seconds=seconds)


def told(step, stage="train", worker=0, beat=0.0):
    rank = {"rank": worker, "stage": stage, "done": step, "heartbeat": at(beat)}
    training = {"step": step, "totalSteps": 9} if worker == 0 else None
    answer = {"attempt": 1, "nodeRank": worker, "ranks": [rank], "training": training}
    return Progress.model_validate(answer, strict=False)


def remembered(*answers):
    """A memory of (seconds, answer)."""
    gang = GangMemory(1)
    for seconds, answer in answers:
        gang.take(answer.node_rank, answer, after(seconds))
    return gang


def test_any_rank_that_moves_moves_the_gang_and_the_one_that_stood_longest_is_the_slowest():
    gang = remembered((0, told(1)), (0, told(1, worker=1)), (10, told(2)), (10, told(1, worker=1)))
    pulse = gang.pulse(after(10))
    assert (pulse.moved_at, pulse.rank, pulse.worker) == (after(10), 1, 1)


def test_a_heartbeat_alone_is_movement_whatever_the_nodes_clock_says():
    gang = remembered((0, told(1, beat=500)), (10, told(1, beat=501)), (20, told(1, beat=501)))
    assert gang.pulse(after(20)).moved_at == after(10)


def test_a_launcher_that_does_not_answer_counts_as_moving_until_its_last_answer():
    gang = remembered((0, told(1)), (0, told(1, worker=1)), (60, told(1, worker=1)), (70, told(1)))
    pulse = gang.pulse(after(70))
    assert (pulse.moved_at, pulse.silent) == (after(60), {1})


def test_a_step_of_this_attempt_has_a_learning_rate():
    resumed = told(1200)
    stepped = resumed.model_copy(update={"training": TrainingProgress(step=1201, total_steps=9, learning_rate=1e-4)})
    assert not remembered((0, resumed)).pulse(NOW).has_stepped
    assert remembered((0, stepped)).pulse(NOW).has_stepped


def test_a_worker_that_has_ended_is_neither_slow_nor_silent():
    gang = remembered((0, told(1)), (0, told(1, worker=1)), (60, told(2)))
    gang.retain({0})
    pulse = gang.pulse(after(60))
    assert (pulse.moved_at, pulse.worker, pulse.silent) == (after(60), 0, frozenset())


def test_no_rank_no_pulse():
    assert GangMemory(1).pulse(NOW) is None


def quiet(minutes, *stages, **facts):
    stages = frozenset(stages or [Stage.TRAIN])
    return Pulse(after(-60 * minutes), NOW, rank=5, worker=1, stages=stages, **facts)


def look(pulse, attempt=1, then=None, **spec):
    report = LauncherReport(attempt, None, None, pulse)
    then = then or status(running_since=LONG_AGO)
    return decide(seen(running(0), running(1), of=job(**spec), then=then, report=report), NOW)


@pytest.mark.parametrize(
    ("pulse", "spec", "stalled"),
    [
        (quiet(14), {}, False),
        (quiet(15), {}, True),
        (quiet(15), {"stallTimeout": "1h"}, False),
        (quiet(2), {"stallTimeout": "1m"}, True),
        (quiet(29, Stage.SAVE), {"stallTimeout": "1m"}, False),
        (quiet(31, Stage.SAVE), {"stallTimeout": "1m"}, True),
        (quiet(31, Stage.SAVE), {"stallTimeout": "1h"}, False),
        (quiet(31, Stage.TRAIN, Stage.EXPORT), {}, False),
        (quiet(20, has_stepped=False), {}, False),
        (quiet(30, has_stepped=False), {}, True),
        (None, {}, False),
    ],
)
def test_how_long_each_stage_may_take(pulse, spec, stalled):
    decision = look(pulse, **spec)
    assert (decision.reason == Reason.NO_PROGRESS, decision.is_stuck) == (stalled, stalled)
    assert decision.status.phase is Phase.RUNNING


def test_a_stall_is_reported_with_the_slowest_rank_and_ends_when_something_moves():
    decision = look(quiet(20, silent=frozenset({1})), then=status(running_since=LONG_AGO, progress={"stage": "train"}))
    assert "slowest is rank 5 of worker 1; no answer from the launcher of worker 1" in decision.message
    written = with_conditions(decision, [], NOW)
    assert [one.type for one in written.conditions if one.status == "True"] == ["Stalled"]
    again = with_conditions(look(quiet(0), then=written), written.conditions, NOW)
    assert [one.type for one in again.conditions if one.status == "True"] == ["Ready"]


def test_a_stall_is_restarted_where_the_job_asks_for_it_and_charged():
    decision = look(quiet(20), stallAction="restart")
    assert (decision.status.phase, decision.status.restarts.infrastructure) == (Phase.RESTARTING, 1)
    failure = decision.status.last_failure
    assert (failure.reason, failure.rank, failure.pod, failure.node) == ("NoProgress", 5, "tune-1-1", "node-1")
    assert len(decision.delete) == 2


def test_silence_of_an_older_attempt_or_of_a_start_is_no_stall():
    assert not look(quiet(60), attempt=0).is_stuck
    report = LauncherReport(1, None, None, quiet(60))
    starting = seen(running(0), pod(1), then=status(Phase.STARTING), report=report)
    assert not decide(starting, NOW).is_stuck


@pytest.mark.parametrize(
    ("all_run_since", "stalled"), [(None, False), (-1, False), (-1199, False), (-1201, True), (-7200, True)]
)
def test_until_the_last_pod_came_the_others_could_not_move(all_run_since, stalled):
    then = status(Phase.STARTING) if all_run_since is None else status(running_since=at(all_run_since))
    at_rendezvous = quiet(60, Stage.RENDEZVOUS)
    decision = look(at_rendezvous, then=then)
    assert (decision.status.phase, decision.is_stuck) == (Phase.RUNNING, stalled)
    assert look(at_rendezvous, then=decision.status).is_stuck is stalled


def test_time_that_went_by_since_the_last_look_is_no_silence():
    unread = replace(quiet(60), read_at=after(-3590))
    assert not look(unread).is_stuck
