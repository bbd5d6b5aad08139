"""What kstatus, Argo CD and `kubectl wait` read, by phase."""

import pytest

from peft_fsdp_api.status import Phase, ProgressStatus
from peft_fsdp_operator.conditions import with_conditions
from peft_fsdp_operator.decision import Decision
from tests.controller.builders import NOW, at, status

TRAINS = ProgressStatus(stage="train")
LOADS = ProgressStatus(stage="load")
LATER = NOW.replace(hour=13)


def values(written):
    return {one.type: one.status == "True" for one in written.conditions}


@pytest.mark.parametrize(
    ("phase", "facts", "true"),
    [
        (Phase.PENDING, {}, {"Reconciling"}),
        (Phase.STARTING, {}, {"Reconciling"}),
        (Phase.RUNNING, {}, set()),
        (Phase.RUNNING, {"progress": LOADS}, set()),
        (Phase.RUNNING, {"progress": TRAINS}, {"Ready"}),
        (Phase.RESTARTING, {"progress": TRAINS}, {"Reconciling"}),
        (Phase.SUSPENDING, {}, {"Reconciling"}),
        (Phase.SUSPENDED, {}, {"Ready", "Suspended"}),
        (Phase.SUCCEEDED, {}, {"Ready", "Complete"}),
        (Phase.FAILED, {}, {"Stalled", "Failed"}),
    ],
)
def test_conditions_by_phase(phase, facts, true):
    written = with_conditions(Decision(status(phase, **facts), "Why", "why"), [], NOW)
    assert {kind for kind, value in values(written).items() if value} == true


def test_a_wait_without_end_is_stalled_and_not_in_progress():
    written = with_conditions(Decision(status(Phase.STARTING), "NameTaken", "taken", is_stuck=True), [], NOW)
    assert {kind for kind, value in values(written).items() if value} == {"Stalled"}


def test_a_gang_with_a_silent_node_is_neither_ready_nor_in_progress_nor_stalled():
    decision = Decision(status(Phase.RUNNING, progress=TRAINS), "NodeNotReady", "worker 1: no word", is_doubtful=True)
    written = with_conditions(decision, [], NOW)
    assert {kind for kind, value in values(written).items() if value} == set()
    assert next(one.reason for one in written.conditions if one.type == "Ready") == "NodeNotReady"


def test_the_time_of_a_condition_moves_with_its_value_only():
    first = with_conditions(Decision(status(Phase.PENDING), "CreatingPods", "pods"), [], NOW)
    second = with_conditions(Decision(status(Phase.RUNNING), "Running", "all run"), first.conditions, LATER)
    times = {one.type: one.last_transition_time for one in second.conditions}
    assert times["Ready"] == at(0)
    assert times["Reconciling"] == at(3600)


def test_the_end_keeps_its_words():
    first = with_conditions(Decision(status(Phase.FAILED), "DatasetInvalid", "no such split"), [], NOW)
    second = with_conditions(Decision(status(Phase.FAILED), "Failed", "the job has ended"), first.conditions, LATER)
    assert second == first
