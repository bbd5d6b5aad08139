"""The figures on /metrics move with what happens at the API server, and no series speaks of a single job."""

import pytest

from peft_fsdp_operator.cluster import LEASES
from peft_fsdp_operator.metrics import Metrics
from peft_fsdp_operator.settings import LEASE_NAME
from tests.apiserver.operator.scrape import families, scrape, value
from tests.apiserver.operator.world import until
from tests.ports import free_port

pytestmark = pytest.mark.apiserver


async def test_the_figures_move_and_a_new_operator_shows_the_same_gpu_seconds(alone, start):
    port = free_port()
    with start("--no-election", "--metrics-port", str(port)):
        await alone.submit()
        await alone.until_pods("tune-1-0", "tune-1-1")
        await until(lambda: reads(port, "peft_fsdp_jobs_waiting", 1, reason="Unschedulable"))
        await alone.run_all()
        await until(lambda: reads(port, "peft_fsdp_jobs", 1, phase="Running"))
        await until(lambda: at_least(port, "peft_fsdp_jobs_gpu_seconds", 16))
        before = await scrape(port)
        assert value(before, "peft_fsdp_jobs_gpus") == 16
        assert not value(before, "peft_fsdp_jobs_waiting", reason="Unschedulable")
        await alone.end_pod("tune-1-1", 74)
        await alone.until_pods("tune-2-0", "tune-2-1")
        await alone.run_all()
        await alone.until_phase("Running")
        after = await scrape(port)
        check_one_restart(after)
        check_requests_and_passes(before, after)
        assert {one.name for one in await families(port)} == {one.name for one in Metrics().registry.collect()}
        check_labels(after, alone.namespace)
        await alone.end_pod("tune-2-0", 66)
        await alone.until_phase("Failed")
        ended = await scrape(port)
        assert value(ended, "peft_fsdp_job_failures_total", reason="DatasetInvalid") == 1
        assert value(ended, "peft_fsdp_jobs", phase="Failed") == 1
    with start("--no-election", "--metrics-port", str(port)):
        await until(lambda: reads(port, "peft_fsdp_jobs", 1, phase="Failed"))
        await until(lambda: at_least(port, "peft_fsdp_operator_event_loop_lag_seconds_count", 1))
        again = await scrape(port)
        spent = value(again, "peft_fsdp_jobs_gpu_seconds")
        assert spent == value(ended, "peft_fsdp_jobs_gpu_seconds") == (await alone.status())["gpuSeconds"] > 0
        assert value(again, "peft_fsdp_job_failures_total", reason="DatasetInvalid") == 0


def check_one_restart(samples):
    assert value(samples, "peft_fsdp_job_restarts_total", reason="LostPeer") == 1
    assert value(samples, "peft_fsdp_job_detection_seconds_count") == 1
    for until_ in ("created", "running"):
        assert value(samples, "peft_fsdp_job_restart_seconds_count", until=until_) == 1


def check_requests_and_passes(before, after):
    create = {"verb": "create", "resource": "pods", "code": "201"}
    assert value(before, "peft_fsdp_operator_api_request_duration_seconds_count", **create) == 2
    assert value(after, "peft_fsdp_operator_api_request_duration_seconds_count", **create) == 4
    watch = {"verb": "watch", "resource": "peftfsdpjobs", "code": "200"}  # kopf's
    assert value(before, "peft_fsdp_operator_api_request_duration_seconds_count", **watch) > 0
    done = "peft_fsdp_operator_pass_duration_seconds_count"
    assert value(after, done, result="done") > value(before, done, result="done") > 0
    assert value(after, "peft_fsdp_operator_leader") == 1
    assert value(after, "peft_fsdp_operator_mirrored_objects", kind="pods") == 2
    for kind in ("pods", "peftfsdpjobs"):
        assert 0 < value(after, "peft_fsdp_operator_watch_age_seconds", kind=kind) < 90


def check_labels(samples, namespace):
    """No label holds the name of a job, a pod or a namespace."""
    texts = {text for _, labels in samples for _, text in labels}
    assert not [text for text in texts if "tune" in text or namespace in text]


async def reads(port, name, wanted, **labels):
    try:
        return value(await scrape(port), name, **labels) == wanted
    except OSError:
        return False


async def at_least(port, name, wanted):
    return value(await scrape(port), name) >= wanted


async def test_a_replica_that_stands_by_says_so_and_raises_no_alarm(alone, start):
    spec = {"holderIdentity": "another", "leaseDurationSeconds": 3600}
    await alone.cluster.create(LEASES, alone.namespace, {"metadata": {"name": LEASE_NAME}, "spec": spec})
    port = free_port()
    with start("--lease-namespace", alone.namespace, "--metrics-port", str(port)):
        await until(lambda: reads(port, "peft_fsdp_operator_mirrored_objects", 0, kind="pods"))
        samples = await scrape(port)
    assert value(samples, "peft_fsdp_operator_leader") == 0
    assert value(samples, "peft_fsdp_operator_watch_age_seconds", kind="pods") == 0
