"""A pod that was asked to stop is known as stopping at once, before any watch tells of it."""

from peft_fsdp_operator.children import Children, Mirrors
from peft_fsdp_operator.cluster import PODS
from peft_fsdp_operator.observe import see_pod
from peft_fsdp_operator.reflector import ChildReflector
from tests.controller.builders import NOW


def raw_pod(version, **metadata):
    owner = {"apiVersion": "training.peft-fsdp.io/v1alpha1", "kind": "PeftFsdpJob", "name": "tune", "uid": "job"}
    labels = {"training.peft-fsdp.io/attempt": "1", "training.peft-fsdp.io/worker": "0"}
    identity = {"namespace": "here", "name": "tune-1-0", "uid": "pod", "resourceVersion": version}
    times = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    return {
        "metadata": {
            **identity,
            **times,
            "labels": labels,
            "ownerReferences": [{**owner, "controller": True}],
            **metadata,
        }
    }


class Deletes:
    """The one verb of the API server that is needed here."""

    def __init__(self, answer):
        self.answer = answer

    async def delete(self, *_):
        return self.answer


async def after_delete(answer):
    mirrors = Mirrors()
    mirror = mirrors.pods[None] = ChildReflector(Deletes(answer), PODS, None, see_pod, lambda _: None)
    mirror.remember(raw_pod("5"))
    await Children(Deletes(answer), mirrors, "image").delete_pods(mirror.owned_by("job"), (), NOW)
    (pod,) = mirror.owned_by("job")
    return pod


async def test_the_answer_to_a_delete_is_remembered():
    pod = await after_delete(raw_pod("6", deletionTimestamp="2026-01-01T00:02:00Z"))
    assert pod.is_stopping


async def test_an_answer_without_a_version_leaves_the_mirror_to_its_watch():
    assert not (await after_delete({"kind": "Status", "status": "Success"})).is_stopping
