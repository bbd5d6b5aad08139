"""One random life: the deeds of a plan done to a real job, the faults of the plan put between it and its operator."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

from peft_fsdp_operator.cluster import JOBS, PODS
from peft_fsdp_operator.errors import ApiError
from peft_fsdp_operator.seen import PodSeen
from tests.apiserver.operator.world import job_body
from tests.faults.eyes import Status
from tests.faults.invariants import TERMINAL
from tests.faults.plans import Plan, Trouble, Turn
from tests.faults.rules import Match, Rule
from tests.faults.site import Site

PATIENCE = 120.0
"""Seconds for one step; back-off, fencing and a few time-outs add up, on a busy machine too."""
SUSPENDED_SECONDS = 0.2
NODE_LABEL = "tests/life"
USER_ERROR = 66
DISRUPTION = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": "evicted"}


@dataclass
class RandomLife:
    """`complaint` is set when the job got stuck."""

    site: Site
    plan: Plan
    uid: str = ""
    complaint: str = ""
    end: str = "Removed"
    """The terminal phase, unless somebody removed the job before."""
    rules: list[Rule] = field(default_factory=list)
    _nodes: int = 0

    @property
    def name(self) -> str:
        return f"seed-{self.plan.seed}"

    async def run(self) -> None:
        """From the creation of the job to its removal."""
        self.rules = [_rule(self.name, trouble) for trouble in self.plan.troubles]
        self.site.proxy.rules += self.rules
        try:
            await self._live()
        except TimeoutError:
            status = self._status()
            told = {key: status.get(key) for key in ("phase", "attempt", "restarts", "waiting")}
            pods = [(pod.name, pod.phase, pod.deleted_at) for pod in self._pods()]
            self.complaint = f"the job is stuck: {told}, {pods}"
        finally:
            for rule in self.rules:
                self.site.proxy.rules.remove(rule)
            await self._clear()

    async def _live(self) -> None:
        await self._submit()
        for turn in self.plan.turns:
            await self._wait(_ready_for(turn))
            if self._status().get("phase") in TERMINAL:
                break
            await self._do(turn)
            if turn.deed == "remove":
                return
        while self._status().get("phase") not in TERMINAL:
            await self._wait(lambda status: status.get("phase") in ("Running", *TERMINAL))
            await self._succeed()
            await asyncio.sleep(0.2)
        self.end = self._status()["phase"]
        await self._wait_for_rest()

    async def _submit(self) -> None:
        plan = self.plan
        application, infrastructure, preemption = ({"limit": limit} for limit in plan.limits)
        budgets = {"application": application, "infrastructure": infrastructure, "preemption": preemption}
        workers: dict[str, Any] = {"nodes": plan.workers, "gpusPerNode": 0}
        if any(turn.deed == "loseNode" for turn in plan.turns):
            workers["nodeSelector"] = {NODE_LABEL: self.name}
            await self._add_node()
        spec = {"workers": workers, "restart": budgets, **({"ttlAfterFinished": "1s"} if plan.ttl else {})}
        body = job_body(self.name)
        body["spec"] |= spec
        self.uid = (await self.site.world.cluster.create(JOBS, self.site.namespace, body))["metadata"]["uid"]

    async def _do(self, turn: Turn) -> None:
        """A deed; one that comes too late, because its pod is gone by now, is nothing."""
        pod = next((one for one in self._pods() if one.worker == turn.worker and not one.is_stopping), None)
        with contextlib.suppress(ApiError, AssertionError):
            match turn.deed:
                case "suspend":
                    await self._suspend()
                case "remove":
                    await self._remove()
                case "succeed":
                    await self._succeed()
                case _ if pod is not None:
                    await self._harm(pod, turn)

    async def _harm(self, pod: PodSeen, turn: Turn) -> None:
        world = self.site.world
        match turn.deed:
            case "error":
                await world.end_pod(pod.name, 1, "boom")
            case "userError":
                await world.end_pod(pod.name, USER_ERROR, "no such split")
            case "delete":
                await self._delete(pod)
            case "evict":
                await world.patch(PODS, pod.name, {"status": {"conditions": [DISRUPTION]}}, "status")
                await self._delete(pod)
            case "loseNode" if pod.node is not None:
                await self.site.plane.kubelets.lose_node(pod.node)
                await self._add_node()
                await self._delete(pod)

    async def _suspend(self) -> None:
        await self.site.world.patch(JOBS, self.name, {"spec": {"suspend": True}})
        await self._wait(lambda status: status.get("phase") in ("Suspended", *TERMINAL))
        await asyncio.sleep(SUSPENDED_SECONDS)
        await self.site.world.patch(JOBS, self.name, {"spec": {"suspend": False}})
        await self._wait(lambda status: status.get("phase") != "Suspended")

    async def _succeed(self) -> None:
        for pod in self._pods():
            if pod.trainer_running and pod.attempt == self._status().get("attempt"):
                with contextlib.suppress(ApiError, AssertionError):
                    await self.site.world.end_pod(pod.name, 0)

    async def _wait_for_rest(self) -> None:
        """The end of a job leaves nothing that runs; with ttlAfterFinished nothing at all."""
        async with asyncio.timeout(PATIENCE):
            while any(self.plan.ttl or pod.holds_resources for pod in self._pods()):
                await self._bury_lost_pods()
                await asyncio.sleep(0.2)

    async def _clear(self) -> None:
        with contextlib.suppress(ApiError):
            await self._remove()
        await self._bury_lost_pods()
        if self._nodes and (node := self._node) not in self.site.plane.kubelets.dead:
            await self.site.plane.kubelets.lose_node(node)

    async def _remove(self) -> None:
        await self.site.world.delete(JOBS, self.name)

    async def _bury_lost_pods(self) -> None:
        """What the pod garbage collector does a minute after a node has gone."""
        for pod in self._pods():
            if pod.node in self.site.plane.kubelets.dead and pod.is_stopping:
                await self.site.world.remove_by_force(pod.name)

    async def _delete(self, pod: PodSeen) -> None:
        await self.site.world.cluster.delete(PODS, pod.namespace, pod.name, pod.uid)

    @property
    def _node(self) -> str:
        return f"{self.name}-{self.site.namespace}-{self._nodes}"

    async def _add_node(self) -> None:
        self._nodes += 1
        await self.site.plane.kubelets.add_node(self._node, **{NODE_LABEL: self.name})

    def _pods(self) -> tuple[PodSeen, ...]:
        return self.site.plane.kubelets.pods_of(self.uid)

    def _status(self) -> Status:
        return self.site.plane.eyes.status(self.uid)

    async def _wait(self, ready: Any) -> None:
        await self.site.plane.eyes.wait(self.uid, ready, PATIENCE)


def _ready_for(turn: Turn) -> Any:
    phases = {"running": ("Running",), "starting": ("Starting", "Running")}.get(turn.at)
    if phases is None:
        return lambda status: status.get("attempt", 0) > 0
    return lambda status: status.get("phase") in (*phases, *TERMINAL)


def _rule(job: str, trouble: Trouble) -> Rule:
    if trouble.verb:
        return Rule(Match(verb=trouble.verb, resource=trouble.resource), trouble.fault, trouble.first)
    return Rule(Match(job=job, writes=True), trouble.fault, trouble.first)
