"""What a failure costs, from the moment the API server knows of it: until the peers are told to stop, until the next
gang exists, until status tells.

The stopwatch is the audit log, whose moments of operator, bench and bare client come from one clock.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dev.cluster.instance import Cluster, add_fake_nodes, control_plane
from peft_fsdp_api.names import LABEL_ATTEMPT, LABEL_JOB
from tests.bench import creation
from tests.bench.api import Api, connect
from tests.bench.failing_gangs import (
    NOWHERE,
    PODS,
    begin_bare_gang,
    begin_gang,
    break_image,
    end_container,
    end_gang,
    place_by_hand,
    pods_of,
    replace_bare_gang,
    silence_node,
    until_status,
    until_unscheduled,
)
from tests.bench.operator_process import running_operator
from tests.bench.report import Figure
from tests.bench.scale.audit import OPERATOR, AuditLog
from tests.bench.scale.world import apply_crd

INSTANCE: Final = "failures"
REPEATS: Final = 7
LOST: Final = 1
"""The worker that fails."""
TIMEOUT: Final = 3
NODE: Final = "bench-silent"
TOLD_BARS: Final = {8: (0.03, 0.05), 64: (0.06, 0.20)}
MADE_BARS: Final = {8: 0.12, 64: 0.5}
PEERS: Final = {
    ("first", 8): "JobSet 1.02 s", ("last", 8): "JobSet 1.04 s, bare client 0.012 s",
    ("first", 64): "JobSet 1.03 s", ("last", 64): "JobSet 1.24 s, bare client 0.030 s",
    ("made", 8): "JobSet 2.27 s, bare client 0.038 s", ("made", 64): "JobSet 2.81 s, bare client 0.283 s",
}  # fmt: skip


@dataclass(frozen=True)
class Course:
    """Seconds after a failure: the first and the last peer told to stop, the last pod of the next gang made."""

    first: float
    last: float
    made: float


def measure() -> list[Figure]:
    """All figures, on a control plane of its own with KWOK nodes."""
    with control_plane(INSTANCE) as cluster, tempfile.TemporaryDirectory() as folder:
        add_fake_nodes(INSTANCE, 80, gpus=8)
        apply_crd(cluster)
        return asyncio.run(_measure(cluster, Path(folder)))


async def _measure(cluster: Cluster, folder: Path) -> list[Figure]:
    log = AuditLog(cluster.audit_log)
    async with connect(cluster.kubeconfig) as api:
        await creation.prepare(api)
        with running_operator(cluster.kubeconfig, folder):
            figures = []
            for nodes in TOLD_BARS:
                figures += await _exits(api, log, nodes)
            deleted = [await _restart(api, log, f"deleted-{turn}", 8, _delete) for turn in range(REPEATS)]
            seconds = statistics.median(course.made for course, _ in deleted)
            figures.append(Figure("pod deleted -> all new pods exist, 8 pods", seconds, "s", 0.12, "JobSet 2.18 s"))
            return figures + await _nodes(api) + await _waits(api)


async def _exits(api: Api, log: AuditLog, nodes: int) -> list[Figure]:
    """A container exits: operator and bare client in turns, so that both see the same machine."""
    ours, bare = [], []
    for turn in range(REPEATS + 1):
        course, pods = await _restart(api, log, f"exit-{nodes}-{turn}", nodes, end_container)
        reference = await _bare_restart(api, log, pods)
        if turn:  # the first pair warms caches and connections
            ours.append(course)
            bare.append(reference)
    figures = []
    for part, what, bar in (
        ("first", "first peer told to stop", TOLD_BARS[nodes][0]),
        ("last", "last peer told to stop", TOLD_BARS[nodes][1]),
        ("made", "all new pods exist", MADE_BARS[nodes]),
    ):
        mine, theirs = ([getattr(one, part) for one in courses] for courses in (ours, bare))
        ratio = statistics.median(one / other for one, other in zip(mine, theirs, strict=True))
        name = f"container exit -> {what}, {nodes} pods"
        figures += [
            Figure(f"{name}, median of {REPEATS}", statistics.median(mine), "s", bar, PEERS[part, nodes]),
            Figure(f"{name}: bare client in the same run", statistics.median(theirs), "s", None),
            Figure(f"{name}: ratio to the bare client", ratio, "x", None),
        ]
    return figures


async def _restart(
    api: Api, log: AuditLog, name: str, nodes: int, harm: Callable[[Api, str], Awaitable[None]]
) -> tuple[Course, list[dict[str, Any]]]:
    """What came of it, and the pods of the gang."""
    await begin_gang(api, name, nodes)
    pods = await pods_of(api, name)
    log.mark()
    await harm(api, f"{name}-1-{LOST}")
    await creation.wait_labelled(api, "pods", f"labelSelector={LABEL_JOB}={name},{LABEL_ATTEMPT}=2", nodes)
    course = await _course(log, f"{name}-1-", f"{name}-2-", nodes, OPERATOR)
    await end_gang(api, name)
    return course, pods


async def _bare_restart(api: Api, log: AuditLog, pods: list[dict[str, Any]]) -> Course:
    bodies = await begin_bare_gang(api, pods)
    log.mark()
    await replace_bare_gang(api, bodies, LOST)
    course = await _course(log, "bare-1-", "bare-2-", len(pods), "")
    await api.delete(f"{PODS}?labelSelector=bench=bare&gracePeriodSeconds=0")
    await creation.until_no_pods(api)
    return course


async def _course(log: AuditLog, old: str, new: str, nodes: int, agent: str) -> Course:
    """Read off the log, which may lag a little."""
    harmed = f"{old}{LOST}"
    for _ in range(100):
        found = [one for one in log.requests() if one.took_effect and one.resource in ("pods", "pods/status")]
        harm = [one for one in found if one.name == harmed and not one.agent.startswith((OPERATOR, "kwok"))]
        told = {
            one.name: one.answered
            for one in found
            if one.verb == "delete" and one.agent.startswith(agent) and not one.agent.startswith("kwok")
            if one.name.startswith(old) and one.name != harmed
        }
        made = [one.answered for one in found if one.verb == "create" and one.name.startswith(new)]
        if harm and len(told) == nodes - 1 and len(made) == nodes:
            start = min(one.answered for one in harm)
            return Course(min(told.values()) - start, max(told.values()) - start, max(made) - start)
        await asyncio.sleep(0.1)
    raise RuntimeError(f"{harmed}: {len(harm)} harms, {len(told)} peers told, {len(made)} pods made")


async def _delete(api: Api, pod: str) -> None:
    await api.delete(f"{PODS}/{pod}")


async def _nodes(api: Api) -> list[Figure]:
    """A node of a running gang falls silent, or is removed."""
    told, restarted, gone = [], [], []
    for turn in range(3):
        name = f"silent-{turn}"
        await begin_gang(api, name, 8, NOWHERE, nodeLostTimeout=f"{TIMEOUT}s")
        await place_by_hand(api, name, LOST, NODE)
        waits = asyncio.create_task(until_status(api, name, lambda one: "waiting" in one))
        again = asyncio.create_task(until_status(api, name, lambda one: one.get("attempt") == 2))
        await asyncio.sleep(0.3)
        since = await silence_node(api, NODE)
        moment = time.time()
        told.append(await waits - moment)
        restarted.append(await again - (since + TIMEOUT))
        await end_gang(api, name, NODE)
        name = f"gone-{turn}"
        await begin_gang(api, name, 8, NOWHERE)
        await place_by_hand(api, name, LOST, NODE)
        selector = f"labelSelector={LABEL_JOB}={name},{LABEL_ATTEMPT}=2"
        made = asyncio.create_task(creation.wait_labelled(api, "pods", selector, 8))
        await asyncio.sleep(0.3)
        moment = time.time()
        await api.delete(f"/api/v1/nodes/{NODE}")
        await made
        gone.append(time.time() - moment)
        await end_gang(api, name)
    return [
        Figure("node NotReady -> cause in status", max(told), "s", 5, "JobSet: never"),
        Figure("nodeLostTimeout over -> next attempt", max(restarted), "s", 5, "JobSet: never"),
        Figure("Node object deleted -> all new pods exist, 8 pods", max(gone), "s", 2, "JobSet 71 s"),
    ]


async def _waits(api: Api) -> list[Figure]:
    """From what a pod says to what the status says."""
    name = "waits"
    unscheduled = asyncio.create_task(until_unscheduled(api, name))
    told = asyncio.create_task(until_status(api, name, _waits_for("Unschedulable")))
    await begin_gang(api, name, 8, NOWHERE)
    unschedulable = await told - await unscheduled
    told = asyncio.create_task(until_status(api, name, _waits_for("ErrImagePull")))
    await place_by_hand(api, name, LOST, NODE, running=False)
    moment = time.time()
    await break_image(api, f"{name}-1-{LOST}")
    image = await told - moment
    await end_gang(api, name, NODE)
    return [
        Figure("unschedulable -> in status", unschedulable, "s", 10, "JobSet: never"),
        Figure("image error -> in status", image, "s", 10, "JobSet: never"),
    ]


def _waits_for(reason: str) -> Callable[[dict[str, Any]], bool]:
    return lambda status: (status.get("waiting") or {}).get("reason") == reason
