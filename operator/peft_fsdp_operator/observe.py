"""From raw objects of the API server to what the operator sees of them. Pure.

`reflector` keeps the results, `reconcile` puts them together for `decide`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from peft_fsdp_api import names
from peft_fsdp_api.job import PeftFsdpJob
from peft_fsdp_api.status import JobStatus

from .reason_words import spell_reason
from .seen import TAKEN_BY_TAINT, ChildSeen, ClaimSeen, ContainerEnd, NodeSeen, PodSeen, SharedSeen, Silence, Words
from .times import read_time

Raw = Mapping[str, Any]

# What every container goes through on its way; not worth a word.
ORDINARY_WAITS: Final = frozenset({"", "ContainerCreating", "PodInitializing"})
OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
NODE_GONE: Final = Silence("NodeGone", "gone", is_fenced=True)
# The scheduler's words stand in the pod itself, and are newer there.
TOLD_ELSEWHERE: Final = frozenset({"FailedScheduling"})
# The kubelet repeats itself at least every five minutes while the trouble lasts; what is older is over.
WORDS_LAST: Final = timedelta(minutes=6)


def see_suspend(raw: Raw) -> bool:
    """Whether a job asks to be suspended, whatever else it says."""
    spec = raw.get("spec")
    return isinstance(spec, Mapping) and spec.get("suspend") is True


def see_pod(raw: Raw) -> PodSeen | None:
    """A worker's pod, or None where no PeftFsdpJob controls it or its labels are not ours."""
    child = _see_child(raw)
    labels = raw["metadata"].get("labels") or {}
    attempt, worker = labels.get(names.LABEL_ATTEMPT, ""), labels.get(names.LABEL_WORKER, "")
    if child is None or not (attempt.isdigit() and worker.isdigit()):
        return None
    status = raw.get("status") or {}
    conditions = {entry["type"]: entry for entry in status.get("conditions") or []}
    containers = {entry["name"]: entry for entry in status.get("containerStatuses") or []}
    trainer = containers.pop(names.TRAINER_CONTAINER, {})
    unready = _unready(conditions) if "running" in (trainer.get("state") or {}) else None
    node = (raw.get("spec") or {}).get("nodeName")
    return PodSeen(
        namespace=child.namespace,
        name=child.name,
        uid=child.uid,
        resource_version=child.resource_version,
        owner_name=child.owner_name,
        owner_uid=child.owner_uid,
        attempt=int(attempt),
        worker=int(worker),
        created=raw["metadata"]["creationTimestamp"],
        node=node,
        ip=status.get("podIP"),
        phase=status.get("phase") or "Pending",
        failure=Words(status["reason"], status.get("message") or "") if status.get("reason") else None,
        deleted_at=raw["metadata"].get("deletionTimestamp"),
        grace_seconds=raw["metadata"].get("deletionGracePeriodSeconds") or 0,
        # A scheduler that lost a race to another binder still writes that it found no node.
        unscheduled=None if node else _condition(conditions.get("PodScheduled"), "False"),
        disruption=_condition(conditions.get("DisruptionTarget"), "True"),
        waiting=_waiting([*(status.get("initContainerStatuses") or []), trainer, *containers.values()]),
        trainer_running="running" in (trainer.get("state") or {}),
        is_unready=unready is not None,
        unready_since=unready.get("lastTransitionTime") if unready else None,
        trainer_end=_trainer_end(trainer, status.get("phase")),
        init_failure=_init_failure(status.get("initContainerStatuses") or []),
        others_running=any("running" in (entry.get("state") or {}) for entry in containers.values()),
    )


def see_service(raw: Raw) -> SharedSeen | None:
    """The headless Service of a job."""
    spec = raw.get("spec") or {}
    kept = {key: spec[key] for key in ("clusterIP", "publishNotReadyAddresses", "selector", "ports") if key in spec}
    return _see_shared(raw, {"spec": kept})


def see_configmap(raw: Raw) -> SharedSeen | None:
    """The ConfigMap of a job."""
    return _see_shared(raw, {"data": raw.get("data") or {}})


def see_claim(raw: Raw | None, name: str, field: str) -> ClaimSeen:
    """A claim, or its absence. Pending claims say in their spec what they ask for."""
    if raw is None:
        return ClaimSeen(name, field, None)
    modes = (raw.get("status") or {}).get("accessModes") or raw["spec"].get("accessModes") or []
    return ClaimSeen(name, field, tuple(modes))


def newest_words(events: Iterable[Raw], now: datetime) -> dict[str, Words]:
    """What was said last of each pod, by the pod's uid, where it was said lately."""
    newest: dict[str, tuple[datetime, Words]] = {}
    for event in events:
        uid, reason = event["involvedObject"].get("uid") or "", event.get("reason") or "Warning"
        said_at = _said_at(event)
        if reason in TOLD_ELSEWHERE or said_at is None or now - said_at > WORDS_LAST:
            continue
        if uid not in newest or said_at >= newest[uid][0]:
            newest[uid] = said_at, Words(*spell_reason(reason, event.get("message") or reason, "Warning"))
    return {uid: words for uid, (_, words) in newest.items()}


def see_node(raw: Raw) -> NodeSeen:
    """A node, and what the cluster says of it where it does not answer."""
    metadata = raw["metadata"]
    return NodeSeen("", metadata["name"], metadata["uid"], int(metadata["resourceVersion"]), _silence(raw))


def silent_by_their_pods(pods: Iterable[PodSeen], now: datetime) -> dict[str, Silence]:
    """What pods tell of nodes that may not be read.

    The cluster marks running pods of a silent node as not ready. One that has not started it leaves as it is until the
    pod's tolerations run out, and deletes it then: a node that answers would have let it go.
    """
    found = {}
    for pod in pods:
        if pod.node and pod.is_unready:
            found[pod.node] = _not_ready(pod.unready_since, f"the cluster says so of pod {pod.name}")
        elif pod.node and _is_left_over(pod, now):
            said = f"a taint took pod {pod.name} away, and nothing there has stopped it"
            found.setdefault(pod.node, _not_ready(pod.deleted_at, said))
    return found


def see_status(raw: Raw) -> JobStatus:
    """The status as written last. Fields of a newer operator are passed over.

    Raises ValueError where a field that we know holds what we cannot read.
    """
    known = {field.alias or name for name, field in JobStatus.model_fields.items()}
    kept = {key: value for key, value in (raw.get("status") or {}).items() if key in known}
    return JobStatus.model_validate_json(orjson.dumps(kept)) if kept else JobStatus()


def claims_of(job: PeftFsdpJob) -> list[tuple[str, str]]:
    """(claim, field) of every claim that the pods of a job mount."""
    spec = job.spec
    found = [(spec.output.claim, "output.claim")]
    if spec.cache is not None:
        found.append((spec.cache.claim, "cache.claim"))
    for index, volume in enumerate(spec.workers.volumes):
        if name := (volume.get("persistentVolumeClaim") or {}).get("claimName"):
            found.append((name, f"workers.volumes[{index}]"))
    return found


def _see_child(raw: Raw) -> ChildSeen | None:
    metadata = raw["metadata"]
    for owner in metadata.get("ownerReferences") or []:
        if owner.get("controller") and owner["kind"] == names.KIND and owner["apiVersion"].startswith(names.GROUP):
            return ChildSeen(
                namespace=metadata["namespace"],
                name=metadata["name"],
                uid=metadata["uid"],
                resource_version=int(metadata["resourceVersion"]),
                owner_name=owner["name"],
                owner_uid=owner["uid"],
            )
    return None


def _see_shared(raw: Raw, content: Raw) -> SharedSeen | None:
    child = _see_child(raw)
    if child is None:
        return None
    return SharedSeen(
        child.namespace, child.name, child.uid, child.resource_version, child.owner_name, child.owner_uid, content
    )


def _silence(node: Raw) -> Silence | None:
    if any(taint.get("key") == OUT_OF_SERVICE for taint in (node.get("spec") or {}).get("taints") or []):
        return Silence("NodeOutOfService", "tainted as out of service", is_fenced=True)
    conditions = (node.get("status") or {}).get("conditions") or []
    ready = next((entry for entry in conditions if entry["type"] == "Ready"), None)
    if ready is None or ready["status"] == "True":
        return None
    return _not_ready(ready.get("lastTransitionTime"), ready.get("message") or ready.get("reason") or "no word")


def _not_ready(since: str | None, said: str) -> Silence:
    when = f" since {since}" if since else ""
    return Silence("NodeNotReady", f"not ready{when}: {said}", since)


def _unready(conditions: Mapping[str, Raw]) -> Raw | None:
    """The condition Ready where the cluster, not the kubelet, says that it is False: the containers are ready."""
    ready, containers = conditions.get("Ready"), conditions.get("ContainersReady")
    if ready is None or ready["status"] != "False" or (containers is not None and containers["status"] != "True"):
        return None
    return ready


def _is_left_over(pod: PodSeen, now: datetime) -> bool:
    """Whether it was taken off a tainted node, and its end was never told."""
    by_taint = pod.disruption is not None and pod.disruption.reason == TAKEN_BY_TAINT
    return by_taint and pod.is_overdue(now) and not pod.has_ended


def _condition(entry: Raw | None, wanted: str) -> Words | None:
    if entry is None or entry["status"] != wanted:
        return None
    return Words(*spell_reason(entry.get("reason") or entry["type"], entry.get("message") or "", "Unknown"))


def _waiting(containers: Iterable[Raw]) -> Words | None:
    for entry in containers:
        waiting = (entry.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason") or ""
        if reason not in ORDINARY_WAITS:
            message = waiting.get("message") or f"container {entry['name']} waits"
            return Words(*spell_reason(reason, message, "Waiting"))
    return None


def _trainer_end(trainer: Raw, phase: str | None) -> ContainerEnd | None:
    """How the trainer ended. A kubelet that comes back to a pod without containers says at first that they wait to be
    made, and that their last state is an end."""
    return _end(trainer) or (_end(trainer, "lastState") if phase == "Failed" else None)


def _end(container: Raw, state: str = "state") -> ContainerEnd | None:
    ended = (container.get(state) or {}).get("terminated")
    if not ended:
        return None
    return ContainerEnd(
        exit_code=ended["exitCode"],
        reason=ended.get("reason") or "",
        message=ended.get("message") or "",
        finished_at=ended.get("finishedAt"),
    )


def _init_failure(containers: Iterable[Raw]) -> ContainerEnd | None:
    """The first init container that failed; its name goes in front of what it said."""
    for entry in containers:
        end = _end(entry)
        if end is not None and end.exit_code != 0:
            message = f"init container {entry['name']} failed: {end.message or end.reason}"
            return ContainerEnd(end.exit_code, end.reason, message, end.finished_at)
    return None


def _said_at(event: Raw) -> datetime | None:
    """When an event happened last, in whichever field its author wrote it."""
    series = event.get("series") or {}
    text = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return read_time(text) if text else None
