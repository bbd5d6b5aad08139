"""News at once, figures now and then."""

import pytest

from peft_fsdp_api.status import Phase, ProgressStatus, Waiting, WorkerCounts
from peft_fsdp_operator.conditions import with_conditions
from peft_fsdp_operator.decision import CREATING_PODS, STARTING_PODS, Decision
from peft_fsdp_operator.status_writes import seconds_to_wait
from tests.controller.builders import NOW, status

BEFORE = status(Phase.STARTING, waiting=Waiting(reason="ErrImagePull", message="no such tag"))


@pytest.mark.parametrize(
    ("change", "since", "wait"),
    [
        ({"phase": Phase.RUNNING}, 0, 0),
        ({"waiting": Waiting(reason="Unschedulable", message="no node")}, 0, 0),
        ({"workers": WorkerCounts(desired=2, running=1)}, 0.25, 0.75),
        ({"workers": WorkerCounts(desired=2, running=1)}, 5, 0),
        ({"waiting": Waiting(reason="ErrImagePull", message="another")}, 0.5, 0.5),
        ({"progress": ProgressStatus(stage="train", step=3)}, 4, 6),
        ({"progress": ProgressStatus(stage="train", step=3)}, 11, 0),
    ],
)
def test_how_long_a_change_can_wait(change, since, wait):
    assert seconds_to_wait(BEFORE, BEFORE.model_copy(update=change), since, since) == wait


def test_counts_wait_from_the_first_pod_that_moved_and_progress_from_the_last_write():
    counts = BEFORE.model_copy(update={"workers": WorkerCounts(desired=2, running=1)})
    progress = BEFORE.model_copy(update={"progress": ProgressStatus(stage="train", step=3)})
    assert seconds_to_wait(BEFORE, counts, since_last=60, since_news=0.25) == 0.75
    assert seconds_to_wait(BEFORE, progress, since_last=60, since_news=0) == 0


def test_that_all_pods_were_made_waits_like_counts_and_that_one_cannot_start_does_not():
    made = pending(Decision(status(Phase.PENDING, attempt=1), CREATING_PODS, "attempt 1: its 2 pods are being made"))
    starts = pending(Decision(status(Phase.STARTING, attempt=1), STARTING_PODS, "attempt 1: 0 of 2 pods run"))
    waits = status(Phase.STARTING, attempt=1, waiting=Waiting(reason="Unschedulable", message="no node"))
    assert seconds_to_wait(made, starts, since_last=0.25, since_news=0.25) == 0.75
    assert seconds_to_wait(made, pending(Decision(waits, "Unschedulable", "no node")), 0, 0) == 0
    assert seconds_to_wait(made, starts.model_copy(update={"attempt": 2}), 0, 0) == 0


def pending(decision):
    return with_conditions(decision, [], NOW)


@pytest.mark.parametrize(
    ("change", "alike", "wait"),
    [
        ({"progress": ProgressStatus(stage="train", step=3)}, 200, 10),
        ({"progress": ProgressStatus(stage="train", step=3)}, 1000, 40),
        ({"workers": WorkerCounts(desired=2, running=1)}, 10, 1),
        ({"workers": WorkerCounts(desired=2, running=1)}, 1000, 100),
        ({"phase": Phase.RUNNING}, 1000, 0),
    ],
)
def test_many_jobs_share_the_writes_of_figures_and_not_those_of_news(change, alike, wait):
    assert seconds_to_wait(BEFORE, BEFORE.model_copy(update=change), 0, 0, alike) == wait
