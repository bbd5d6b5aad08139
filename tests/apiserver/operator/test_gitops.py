"""What GitOps tools do to a job, on the real API server: apply again and again, flip `suspend`, run actions, prune."""

import json

import pytest

from dev.gitops.argocd import SCRIPTS
from dev.gitops.verdict import kstatus, run_lua
from peft_fsdp_api.names import FIELD_MANAGER
from peft_fsdp_operator.cluster import CONFIGMAPS, JOBS, PODS, SERVICES
from tests.apiserver.operator.world import job_body, stays, until

pytestmark = pytest.mark.apiserver
FIRST, SECOND = ("tune-1-0", "tune-1-1"), ("tune-2-0", "tune-2-1")
FLUX = "kustomize-controller"


@pytest.fixture
def sync(api_server, world):
    """Apply the job as a GitOps tool does, with its own field manager."""

    def apply(**spec):
        command = ("apply", "--server-side", f"--field-manager={FLUX}", "-n", world.namespace, "-o", "json", "-f", "-")
        return json.loads(api_server.kubectl(*command, input=json.dumps(job_body(**spec))))

    return apply


async def finish(world):
    await world.until_pods(*FIRST)
    await world.run_all()
    await world.until_phase("Running")
    for pod in FIRST:
        await world.end_pod(pod, 0)
    await world.until_phase("Succeeded")


async def test_a_finished_job_that_is_applied_again_does_not_run_again(world, sync):
    sync()
    await finish(world)
    for pod in FIRST:
        await world.remove_by_force(pod)
    before = await world.job()
    sync()

    async def untouched():
        job = await world.job()
        return job["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"] and not await world.pods()

    await stays(untouched, seconds=3)
    assert before["metadata"]["generation"] == 1
    assert kstatus([before]) == ["Current"]


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
async def test_a_pruned_job_leaves_nothing(world, sync, propagation):
    """As Flux and Argo CD delete. The garbage collector takes half a minute to learn of a new CRD."""
    sync()
    await world.until_pods(*FIRST)
    await until(lambda: world.find(CONFIGMAPS))
    url = world.cluster._server + JOBS.path(world.namespace, "tune")
    async with world.cluster.session.delete(url, json={"propagationPolicy": propagation}) as response:
        assert response.status == 200

    async def gone():
        left = [await world.find(resource) for resource in (JOBS, SERVICES, CONFIGMAPS)]
        return not any([*left, *await world.pods()])

    await until(gone, seconds=120)
    await stays(gone)


async def test_suspend_in_git_stops_a_job_and_its_absence_resumes_it(world, sync):
    sync()
    await world.until_pods(*FIRST)
    await world.run_all()
    await world.until_phase("Running")
    assert sync(suspend=True)["metadata"]["generation"] == 2
    await world.until_phase("Suspended")
    assert kstatus([await world.job()]) == ["Current"]
    sync()
    await world.until_pods(*SECOND)


async def test_the_operator_owns_nothing_of_a_job_but_its_status(world, sync):
    sync()
    await world.until_phase("Starting")
    owned = {
        entry["manager"]: (entry.get("subresource", ""), set(entry["fieldsV1"]))
        for entry in (await world.job())["metadata"]["managedFields"]
    }
    assert owned == {FLUX: ("", {"f:spec"}), FIELD_MANAGER: ("status", {"f:status"})}


async def act(world, action):
    """Argo CD runs the script over the live object and sends what has changed."""
    live = await world.job()
    [result] = run_lua(SCRIPTS / "actions" / action / "action.lua", [live])
    changed = {key: value for key, value in result["spec"].items() if value != live["spec"].get(key)}
    await world.patch(JOBS, "tune", {"spec": changed})


async def health(world):
    [told] = run_lua(SCRIPTS / "health.lua", [await world.job()])
    return told["status"]


async def test_the_actions_suspend_and_resume_outlast_the_next_sync(world, sync):
    sync()
    await world.until_pods(*FIRST)
    await act(world, "suspend")
    await world.until_phase("Suspended")
    sync()  # suspend does not stand in Git
    assert await health(world) == "Suspended"
    await act(world, "resume")
    await world.until_pods(*SECOND)
    assert await health(world) == "Progressing"


@pytest.mark.parametrize("runs", [True, False])
async def test_the_action_stop_ends_a_job_for_good(world, sync, runs):
    sync()
    await world.until_pods(*FIRST)
    if runs:
        await world.run_all()
        await world.until_phase("Running")
    await act(world, "stop")
    status = await world.until_phase("Failed")
    assert status["lastFailure"]["reason"] == ("ActiveDeadlineExceeded" if runs else "StartDeadlineExceeded")
    assert await health(world) == "Degraded"
    await until(lambda: no_pods(world))


async def no_pods(world):
    return not await world.pods()


async def test_a_changed_job_is_refused_with_what_to_do(world, sync, api_server):
    sync()
    await world.until_phase("Starting")
    with pytest.raises(Exception, match="is fixed once the first attempt has started; make a new job to change it"):
        sync(lora={"rank": 8})
    assert set(await world.pods()) == set(FIRST)
    assert await world.find(PODS, FIRST[0])
