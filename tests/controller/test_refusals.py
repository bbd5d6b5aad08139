"""What the API server refuses, as it comes back from the making of a gang, and when it is asked again."""

from datetime import timedelta
from itertools import count

import pytest

from peft_fsdp_api.status import Phase
from peft_fsdp_operator.children import Children, Mirrors
from peft_fsdp_operator.cluster import CONFIGMAPS, PODS, SERVICES
from peft_fsdp_operator.errors import ApiError, Conflict, NotFound, Refused, Unavailable
from peft_fsdp_operator.observe import see_configmap, see_pod, see_service
from peft_fsdp_operator.reflector import ChildReflector
from peft_fsdp_operator.refusals import MAY_PASS, Refusals, wait_after_refusal
from tests.controller.builders import NOW, at, job, status


class Quota:
    """An API server that lets in some pods, and every Service and ConfigMap or none."""

    def __init__(self, pods=0, shared=True):
        self.pods, self.shared, self.versions = pods, shared, count(1)

    async def create(self, resource, _namespace, body):
        if resource == PODS:
            self.pods -= 1
        if self.pods < 0 if resource == PODS else not self.shared:
            raise Refused(403, "Forbidden", f"no more {resource.plural}")
        version = next(self.versions)
        metadata = {"uid": f"u-{version}", "resourceVersion": str(version), "creationTimestamp": at(0)}
        return {**body, "metadata": {**body["metadata"], **metadata}}


def children(quota):
    mirrors = Mirrors()
    mirrors.pods[None] = ChildReflector(quota, PODS, None, see_pod, lambda _: None)
    for resource, see in ((SERVICES, see_service), (CONFIGMAPS, see_configmap)):
        mirrors.shared[resource, None] = ChildReflector(quota, resource, None, see, lambda _: None)
    return Children(quota, mirrors, "image")


async def make(quota, attempt=1, had=None):
    return await children(quota).make(job(), status(Phase.PENDING, attempt), (0, 1), True, NOW, had)


@pytest.mark.parametrize(
    ("pods", "shared", "worker", "message"),
    [
        (0, True, 0, "no more pods"),
        (1, True, 1, "no more pods"),
        (1, False, 1, "no more pods"),
        (2, False, None, "no more services"),
    ],
)
async def test_a_refused_pod_is_told_before_a_refused_service(pods, shared, worker, message):
    refusal = await make(Quota(pods, shared))
    assert (refusal.worker, refusal.message, refusal.times) == (worker, message, 1)


async def test_refusals_in_a_row_are_counted_within_an_attempt():
    first = await make(Quota())
    second = await make(Quota(), had=first)
    assert (second.times, (await make(Quota(), attempt=2, had=second)).times) == (2, 1)
    assert second.retry_at - NOW >= timedelta(seconds=10)
    assert await make(Quota(2), had=second) is None


@pytest.mark.parametrize(("times", "seconds"), [(1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (99999, 60)])
def test_waits_grow_to_a_minute_and_differ(times, seconds):
    waits = {wait_after_refusal(times) for _ in range(20)}
    assert timedelta(seconds=seconds) <= min(waits) < max(waits) <= timedelta(seconds=1.2 * seconds)


def judge(refusals, *errors, had=None):
    return refusals.judge(("uid", "make"), 1, enumerate(errors), had, NOW)


@pytest.mark.parametrize(
    "error",
    [
        Refused(403, "Forbidden", "no"),
        Unavailable(500, "InternalError", "failed calling webhook"),
        ApiError(451, "Legal", "a webhook's own code"),
        NotFound(404, "NotFound", "a webhook's own code"),
    ],
)
def test_a_refusal_is_told_at_once_also_beside_errors_that_may_pass(error):
    busy = Unavailable(503, "ServiceUnavailable", "later")
    refusal = judge(Refusals(), busy, error)
    assert (refusal.worker, refusal.reason, refusal.message) == (1, error.reason, error.message)


@pytest.mark.parametrize(
    "error",
    [
        Unavailable(503, "ServiceUnavailable", "later"),
        Unavailable(504, "Timeout", "slow webhook", retry_after=30),
        Conflict(409, "Conflict", "a webhook's own code"),
    ],
)
def test_an_error_that_may_pass_is_told_after_a_few_in_a_row(error):
    refusals = Refusals()
    for _ in range(2):
        for _ in range(MAY_PASS):
            with pytest.raises(type(error)):
                judge(refusals, None, error)
        told = judge(refusals, None, error)
        assert (told.worker, told.message) == (1, error.message)
        assert told.retry_at - NOW >= timedelta(seconds=max(5, error.retry_after or 0))
        assert judge(refusals, None, None) is None
    refusals._failures["other", "make"] = 1
    with pytest.raises(type(error)):
        judge(refusals, error)
    refusals.forget("uid")
    assert dict(refusals._failures) == {("other", "make"): 1}


def test_an_api_server_that_does_not_answer_is_asked_again_by_the_queue_however_often():
    refusals, away = Refusals(), Unavailable(0, "Unreachable", "create pods: connection refused")
    for _ in range(10 * MAY_PASS):
        with pytest.raises(Unavailable):
            judge(refusals, None, away)
    assert not refusals._failures["uid", "make"]
