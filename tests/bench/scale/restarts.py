"""Gangs that lose a pod: from the loss to the last pod of the next attempt, beside a bare client's."""

from collections.abc import Iterable, Sequence

import orjson

from tests.bench.operator_process import OperatorProcess
from tests.bench.scale.audit import attempt_of, pods_made
from tests.bench.scale.load import wait_until
from tests.bench.scale.objects import delete_pods, post_children, take_pod_away
from tests.bench.scale.sampling import jobs_in
from tests.bench.scale.world import World


def bare_replacement(world: World, names: Sequence[str], pods: int) -> float:
    """Pods of a bare client, which run already, deleted and created again: seconds from the first request on."""
    gangs = [
        {"delete": delete_pods(name, range(pods)), "create": post_children(name, pods, attempt=2)} for name in names
    ]
    world.log.mark()
    world.poster.run("tests.bench.scale.replacer", (orjson.dumps(gang) for gang in gangs))
    deleted = [request.received for request in world.log.requests("bench-poster", "pods", "delete")]
    return max(pods_made(world.log).values()) - min(deleted)


def restart_gangs(world: World, operator: OperatorProcess, names: Iterable[str]) -> float:
    """One pod of each job is taken away at the same moment: seconds until the last pod of all next attempts exists."""
    wanted = list(names)
    running = jobs_in(operator.port, "Running")
    world.log.mark()
    world.poster.send(take_pod_away(name) for name in wanted)
    wait_until(lambda: len(_second_attempts(world)) >= len(wanted), "every gang was restarted")
    wait_until(lambda: jobs_in(operator.port, "Running") >= running, "all gangs run again")
    lost = [request.received for request in world.log.requests("bench-poster", "pods/status", "patch")]
    made = {pod: at for pod, at in pods_made(world.log).items() if attempt_of(pod) == 2}
    return max(made.values()) - min(lost)


def _second_attempts(world: World) -> set[str]:
    return {pod.rsplit("-", 2)[0] for pod in pods_made(world.log) if attempt_of(pod) == 2}
