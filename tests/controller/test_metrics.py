"""What is counted, and what is summed up over jobs."""

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from peft_fsdp_api.reasons import Reason
from peft_fsdp_api.status import Condition, Failure, Phase
from peft_fsdp_operator.job_counts import OTHER, REASONS_MAX, count_jobs
from peft_fsdp_operator.job_metrics import CREATED, RUNNING, JobMetrics
from peft_fsdp_operator.jobs import JobRecord
from peft_fsdp_operator.metrics import Metrics
from tests.controller.builders import NOW, at, job, status


def record(status=None, **spec) -> JobRecord:
    raw = job(**spec).model_dump(by_alias=True, exclude_none=True, mode="json")
    raw["metadata"] |= {"resourceVersion": "1"}
    return JobRecord({**raw, "status": status or {}})


class Counted:
    """The metrics of jobs after the statuses that were written one after the other."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics, self.record, self.last = JobMetrics(self.registry), record(), status(Phase.STARTING)

    def write(self, after, reason, seconds):
        self.metrics.saw_status(self.record, reason, self.last, after, NOW + timedelta(seconds=seconds))
        self.last = after

    def value(self, name, **labels):
        return self.registry.get_sample_value(f"peft_fsdp_job_{name}", labels)


FAILURE = Failure(attempt=1, reason=Reason.LOST_PEER, exit_code=74, message="gone", time=at(0))


def test_a_restart_is_counted_by_its_cause_and_timed_to_creation_and_running():
    counted = Counted()
    counted.write(status(Phase.RESTARTING, last_failure=FAILURE), Reason.LOST_PEER, 2)
    counted.metrics.saw_gang(counted.record, CREATED, NOW + timedelta(seconds=5))
    counted.write(status(Phase.RUNNING, attempt=2), "Running", 42)
    assert counted.value("restarts_total", reason="LostPeer") == 1
    assert counted.value("detection_seconds_sum") == 2
    assert counted.value("restart_seconds_sum", until=CREATED) == 3
    assert counted.value("restart_seconds_sum", until=RUNNING) == 40


def test_how_long_there_is_no_room_for_a_gang_is_not_timed():
    counted = Counted()
    counted.write(status(Phase.RESTARTING, last_failure=FAILURE), Reason.LOST_PEER, 0)
    counted.write(status(Phase.STARTING, attempt=2), "StartingPods", 5)
    counted.write(status(Phase.RESTARTING, attempt=2), Reason.GANG_INCOMPLETE, 1800)
    counted.write(status(Phase.RUNNING, attempt=3), "Running", 9000)
    assert counted.value("restarts_total", reason="GangIncomplete") == 1
    assert counted.value("restart_seconds_count", until=RUNNING) == 0


def test_a_first_start_is_no_restart():
    counted = Counted()
    counted.metrics.saw_gang(counted.record, CREATED, NOW)
    counted.write(status(Phase.RUNNING), "Running", 1)
    assert counted.value("restart_seconds_count", until=CREATED) == 0
    assert counted.value("restart_seconds_count", until=RUNNING) == 0


@pytest.mark.parametrize("phase", [Phase.SUSPENDING, Phase.FAILED])
def test_what_is_no_longer_awaited_is_not_timed(phase):
    counted = Counted()
    counted.write(status(Phase.RESTARTING, last_failure=FAILURE), Reason.LOST_PEER, 0)
    counted.write(status(phase), "Suspended", 1)
    counted.write(status(Phase.RUNNING, attempt=2), "Running", 1000)
    assert counted.value("restart_seconds_count", until=RUNNING) == 0


def test_what_the_operator_itself_states_has_no_time_to_detect():
    counted = Counted()
    own = Failure(attempt=1, reason=Reason.START_DEADLINE_EXCEEDED, message="late", time=at(-500))
    counted.write(status(Phase.FAILED, last_failure=own), Reason.START_DEADLINE_EXCEEDED, 0)
    assert counted.value("failures_total", reason="StartDeadlineExceeded") == 1
    assert counted.value("detection_seconds_count") == 0


def test_a_stall_is_counted_once_however_often_it_is_written():
    counted = Counted()
    told = {"type": "Stalled", "status": "True", "reason": "NoProgress", "message": "", "observed_generation": 1}
    condition = Condition(**told, last_transition_time=at(0))
    counted.write(status(Phase.RUNNING, conditions=[condition]), Reason.NO_PROGRESS, 0)
    counted.write(status(Phase.RUNNING, conditions=[condition]), Reason.NO_PROGRESS, 10)
    assert counted.value("stalls_total") == 1


def test_every_cause_starts_at_zero_so_that_the_first_one_is_a_rise():
    counted = Counted()
    assert counted.value("failures_total", reason="OutOfMemory") == 0
    assert counted.value("restarts_total", reason="NodeLost") == 0
    assert counted.value("restarts_total", reason="DatasetInvalid") is None


def test_gpu_seconds_come_from_the_jobs_so_a_new_operator_shows_the_same():
    running = record({"phase": "Running", "gpuSeconds": 15 * 16, "activeSeconds": 9, "runningSince": at(-10)})
    ended = record({"phase": "Succeeded", "gpuSeconds": 1000})
    counts = count_jobs([running, ended], NOW)
    assert (counts.gpus, counts.gpu_seconds) == (16, (9 + 10) * 16 + 1000)


def test_jobs_are_counted_by_phase_and_by_what_they_wait_for():
    waits = {"phase": "Starting", "attemptTime": at(-90), "waiting": {"reason": "Unschedulable", "message": ""}}
    stuck = {"type": "Stalled", "status": "True", "reason": "NoProgress"}
    counts = count_jobs([record(waits), record({"phase": "Running", "conditions": [stuck]}), record()], NOW)
    assert (counts.phases["Starting"], counts.phases["New"], counts.phases["Failed"]) == (1, 1, 0)
    assert (dict(counts.waiting), dict(counts.stalled), counts.start) == ({"Unschedulable": 1}, {"NoProgress": 1}, 90)


def test_a_start_is_as_long_as_the_gangs_that_were_not_complete_and_the_waits_between_them():
    again = {"phase": "Starting", "attemptTime": at(-90), "waitingSince": at(-9000)}
    between = {"phase": "Restarting", "attemptTime": at(-1800), "waitingSince": at(-9900)}
    restarts = {"phase": "Restarting", "attemptTime": at(-99999)}
    assert count_jobs([record(again), record(restarts)], NOW).start == 9000
    assert count_jobs([record(again), record(between)], NOW).start == 9900


def test_a_failed_job_is_no_stalled_one():
    stalled = {"type": "Stalled", "status": "True", "reason": "OutOfMemory"}
    assert not count_jobs([record({"phase": "Failed", "conditions": [stalled]})], NOW).stalled


def test_an_invalid_job_counts_once_it_was_looked_at():
    broken = record(nodes=1)
    broken.raw["spec"]["workers"]["nodes"] = "two"
    assert count_jobs([broken], NOW).invalid == 0
    _ = broken.parsed
    assert count_jobs([broken], NOW).invalid == 1


def test_invented_reasons_do_not_make_series_without_end():
    waiting = [{"phase": "Pending", "waiting": {"reason": f"Reason{number}", "message": ""}} for number in range(99)]
    counts = count_jobs([record(one) for one in waiting], NOW)
    assert len(counts.waiting) == REASONS_MAX + 1
    assert counts.waiting[OTHER] == 99 - REASONS_MAX


def test_no_series_speaks_of_when_another_one_was_made():
    assert b"_created" not in generate_latest(Metrics().registry).replace(b'until="created"', b"")
