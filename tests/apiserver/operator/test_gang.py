"""One attempt is one gang: restarts, suspension and the end, on the real API server."""

import pytest

from peft_fsdp_api.outcome import Outcome
from peft_fsdp_api.reasons import Reason
from peft_fsdp_operator.cluster import JOBS, PODS
from tests.apiserver.operator.world import NODE, condition, now, stays, until

pytestmark = pytest.mark.apiserver
FIRST, SECOND = ("tune-1-0", "tune-1-1"), ("tune-2-0", "tune-2-1")


async def start(world, **spec):
    await world.submit(**spec)
    await world.until_pods(*FIRST)
    await world.run_all()
    return await world.until_phase("Running")


async def start_on_a_node(world):
    """Pods that are bound stay after their deletion until somebody removes them, as with a kubelet."""
    await world.submit()
    await world.until_pods(*FIRST)
    for pod in FIRST:
        await world.bind(pod)
    await world.run_all()
    await world.until_phase("Running")


async def test_a_failed_pod_restarts_the_gang(world):
    await start(world)
    outcome = Outcome(reason=Reason.LOST_PEER, message="rank 3 went away", rank=9, step=120)
    await world.end_pod("tune-1-1", 74, outcome.to_termination_message())
    await world.until_pods(*SECOND)
    status = await world.status()
    assert status["attempt"] == 2
    assert status["restarts"] == {"application": 0, "infrastructure": 1, "preemption": 0}
    failure = status["lastFailure"]
    assert (failure["pod"], failure["reason"], failure["rank"], failure["step"]) == ("tune-1-1", "LostPeer", 9, 120)


async def test_a_killed_launcher_is_the_cause_though_its_peer_said_so_first(world):
    """Both end in one second; the kubelet of the killed one reports when the gang has been told to stop already."""
    await start_on_a_node(world)
    outcome = Outcome(reason=Reason.LOST_PEER, message="worker 1 went away", rank=0)
    await world.end_pod("tune-1-0", 74, outcome.to_termination_message())
    status = await world.until_phase("Restarting")
    assert status["lastFailure"]["pod"] == "tune-1-0", status["lastFailure"]
    await world.end_pod("tune-1-1", 137)

    async def corrected():
        return (await world.status())["lastFailure"]["pod"] == "tune-1-1"

    await until(corrected, world.status)
    status = await world.status()
    assert (status["lastFailure"]["reason"], status["lastFailure"]["exitCode"]) == ("ApplicationError", 137)
    assert status["restarts"] == {"application": 1, "infrastructure": 0, "preemption": 0}


async def test_a_deleted_pod_restarts_the_gang(world):
    await start(world)
    await world.delete(PODS, "tune-1-0")
    await world.until_pods(*SECOND)
    status = await world.status()
    assert status["lastFailure"]["reason"] == "PodDeleted"
    assert status["restarts"]["infrastructure"] == 1


async def test_a_user_error_is_not_retried(world):
    await start(world)
    outcome = Outcome(reason=Reason.DATASET_INVALID, message="split test is empty", rank=0)
    await world.end_pod("tune-1-0", 66, outcome.to_termination_message())
    status = await world.until_phase("Failed")
    assert "split test is empty" in condition(status, "Failed")["message"]
    assert condition(status, "Stalled")["reason"] == "DatasetInvalid"
    assert status["lastFailure"]["hint"]
    await world.until_pods("tune-1-0")  # kept for its log; the one that still ran is stopped
    events = await until(lambda: told(world, "DatasetInvalid"))
    assert "split test is empty" in events[0]


async def told(world, reason):
    return [message for kind, message in await world.events() if kind == reason]


async def test_an_application_error_waits_before_the_next_attempt(world):
    await start_on_a_node(world)
    await world.end_pod("tune-1-1", 1, "Traceback: boom")
    status = await world.until_phase("Restarting")
    assert status["nextAttemptTime"]
    assert "boom" in status["lastFailure"]["message"]
    await world.remove_by_force("tune-1-0")
    await world.until_pods(*SECOND)


async def test_a_node_on_which_the_job_failed_twice_is_avoided_and_seen_in_the_status(world):
    await world.submit(nodes=1)
    for attempt in (1, 2):
        pod = f"tune-{attempt}-0"
        await world.until_pods(pod)
        await world.bind(pod)
        await world.run_pod(pod)
        await world.until_phase("Running")
        await world.end_pod(pod, 1, "boom")
    pods = await world.until_pods("tune-3-0")
    (wish,) = pods["tune-3-0"]["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert wish["preference"]["matchFields"] == [
        {"key": "metadata.name", "operator": "NotIn", "values": [world.named(NODE)]}
    ]
    status = await world.status()
    assert status["avoidedNodes"] == [world.named(NODE)]
    assert [(one["attempt"], one["message"]) for one in status["failures"]] == [(1, "boom"), (2, "boom")]
    assert status["budgets"]["application"]["used"] == 2


async def test_a_gang_that_is_only_partly_placed_is_made_anew_at_nobodys_charge(world):
    """Half an hour goes by in the status alone: the launcher of the worker that runs has waited for so long."""
    await world.submit(restart={"infrastructure": {"limit": 0}})
    await world.until_pods(*FIRST)
    await world.run_pod("tune-1-0")
    began = await until(lambda: waits_for_a_node(world))
    await world.patch(JOBS, "tune", {"status": {"attemptTime": now(ago=1800)}}, "status")
    outcome = Outcome(reason=Reason.RENDEZVOUS_FAILED, message="the ranks did not meet", rank=0)
    await world.end_pod("tune-1-0", 73, outcome.to_termination_message())
    status = await world.until_phase("Restarting")
    assert (status["lastFailure"]["reason"], status["lastFailure"]["pod"]) == ("GangIncomplete", "tune-1-1")
    said = f"worker 1 had not started after 30m: Unschedulable: {began['message'].rstrip('.')}"
    assert status["lastFailure"]["message"].startswith(said)
    assert status["restarts"] == {"application": 0, "infrastructure": 0, "preemption": 0}
    assert not {"budgets", "failures"} & set(status)
    await world.until_pods()  # the GPUs are free during the back-off
    await world.patch(JOBS, "tune", {"status": {"nextAttemptTime": now()}}, "status")
    await world.until_pods(*SECOND)
    again = await world.until_phase("Starting")
    assert again["waitingSince"] == status["waitingSince"] < again["attemptTime"]
    await world.patch(JOBS, "tune", {"spec": {"startDeadline": "30m"}})
    failed = await world.until_phase("Failed")
    assert failed["lastFailure"]["reason"] == "StartDeadlineExceeded"
    assert "waitingSince" not in failed


async def waits_for_a_node(world):
    status = await world.status()
    waiting = status.get("waiting") or {}
    return waiting if (status.get("phase"), waiting.get("reason")) == ("Starting", "Unschedulable") else None


async def test_the_budget_is_an_end(world):
    await start(world, restart={"application": {"limit": 0}})
    await world.end_pod("tune-1-1", 1, "boom")
    status = await world.until_phase("Failed")
    assert "restart.application.limit 0" in condition(status, "Failed")["message"]


async def test_the_next_attempt_waits_for_the_last_pod_of_the_old_one(world):
    await start_on_a_node(world)
    await world.end_pod("tune-1-1", 74)
    await world.until_pods("tune-1-0")
    assert (await world.pods())["tune-1-0"]["metadata"]["deletionTimestamp"]

    async def still_alone():
        return set(await world.pods()) == {"tune-1-0"}

    await stays(still_alone)
    await world.remove_by_force("tune-1-0")
    await world.until_pods(*SECOND)


async def test_suspend_stops_the_pods_and_resume_begins_an_attempt_that_no_budget_pays(world):
    await start(world)
    await world.patch(JOBS, "tune", {"spec": {"suspend": True}})
    status = await world.until_phase("Suspended")
    assert await world.pods() == {}
    assert condition(status, "Suspended")["status"] == "True"
    await world.patch(JOBS, "tune", {"spec": {"suspend": False}})
    await world.until_pods(*SECOND)
    status = await world.status()
    assert status["restarts"] == {"application": 0, "infrastructure": 0, "preemption": 0}
    assert "lastFailure" not in status


async def test_a_job_that_is_born_suspended_makes_nothing(world):
    await world.submit(suspend=True)
    await world.until_phase("Suspended")
    assert await world.pods() == {}
    await world.patch(JOBS, "tune", {"spec": {"suspend": False}})
    await world.until_pods(*FIRST)


async def test_a_finished_job_stays_finished_when_its_pods_are_deleted(world):
    await start(world)
    for pod in FIRST:
        await world.end_pod(pod, 0)
    finished = await world.until_phase("Succeeded")
    for pod in FIRST:
        await world.delete(PODS, pod)
    await world.until_pods()

    async def unchanged():
        return await world.status() == finished and await world.pods() == {}

    await stays(unchanged)


async def test_a_finished_job_is_cleaned_up_after_its_time_but_kept(world):
    await start(world, ttlAfterFinished="1s")
    for pod in FIRST:
        await world.end_pod(pod, 0)
    await world.until_pods()

    async def no_shared():
        return await world.shared_versions() == []

    await until(no_shared)
    assert (await world.status())["phase"] == "Succeeded"


async def test_cleanup_delete_removes_finished_pods(world):
    await start(world, cleanup="delete")
    for pod in FIRST:
        await world.end_pod(pod, 0)
    await world.until_pods()
    assert (await world.status())["phase"] == "Succeeded"


async def test_a_start_that_takes_too_long_fails_and_says_what_it_waited_for(world):
    await world.submit(startDeadline="4s")
    status = await world.until_phase("Failed")
    assert status["lastFailure"]["reason"] == "StartDeadlineExceeded"
    assert "Unschedulable" in status["lastFailure"]["message"]
    await world.until_pods()


async def test_a_run_that_takes_too_long_fails(world):
    await start(world)
    await world.patch(JOBS, "tune", {"spec": {"activeDeadline": "2s"}})
    status = await world.until_phase("Failed")
    assert status["lastFailure"]["reason"] == "ActiveDeadlineExceeded"


async def test_a_claim_that_does_not_exist_fails_the_job_before_it_has_pods(world):
    await world.submit(output={"claim": "nowhere"})
    status = await world.until_phase("Failed")
    assert status["lastFailure"]["reason"] == "ClaimNotFound"
    assert "nowhere" in status["lastFailure"]["message"]
    assert await world.pods() == {}


async def test_a_claim_may_be_created_a_moment_after_the_job(world):
    await world.submit(output={"claim": "later"})

    async def waits():
        return ((await world.status()).get("waiting") or {}).get("reason") == "ClaimNotFound"

    await until(waits)
    await world.make_claim("later")
    await world.until_pods(*FIRST)


async def test_a_claim_for_one_node_cannot_serve_two(world):
    await world.make_claim("mine", mode="ReadWriteOnce")
    await world.submit(output={"claim": "mine"})
    status = await world.until_phase("Failed")
    assert status["lastFailure"]["reason"] == "ClaimNotShared"
    assert "ReadWriteOnce" in status["lastFailure"]["message"]
