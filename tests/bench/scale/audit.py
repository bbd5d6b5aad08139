"""The stopwatch: the API server's audit log has every request with its author and microseconds, at no cost to anybody.

Read by all figures of the part `scale`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from tests.bench.scale.objects import NAMESPACE

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
OPERATOR, POSTER, CONTROLLERS = "peft-fsdp-operator", "bench-poster", "kube-controller-manager"


@dataclass(frozen=True)
class Request:
    """One answered request. `resource` includes the subresource."""

    agent: str
    verb: str
    resource: str
    name: str
    namespace: str
    code: int
    received: float
    answered: float

    @property
    def is_write(self) -> bool:
        return self.verb in WRITES

    @property
    def took_effect(self) -> bool:
        return self.code < 300


class AuditLog:
    """The log from a moment on."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, path.stat().st_size

    def mark(self) -> None:
        """Forget what came before."""
        self._offset = self._path.stat().st_size

    def requests(self, agent: str = "", resource: str = "", verb: str = "") -> Iterator[Request]:
        """Requests in the bench's namespaces and outside of any, in the order of their answers."""
        wanted = [word.encode() for word in (agent, f'"verb":"{verb}"' if verb else "") if word]
        with self._path.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n") or not all(word in line for word in wanted):
                    continue
                found = _read(line)
                if found.agent.startswith(agent) and resource in ("", found.resource):
                    yield found


def _read(line: bytes) -> Request:
    entry = orjson.loads(line)
    target = entry.get("objectRef") or {}
    return Request(
        agent=entry.get("userAgent", ""),
        verb=entry["verb"],
        resource="/".join(filter(None, (target.get("resource"), target.get("subresource")))),
        name=target.get("name", ""),
        namespace=target.get("namespace", ""),
        code=(entry.get("responseStatus") or {}).get("code", 0),
        received=_seconds(entry["requestReceivedTimestamp"]),
        answered=_seconds(entry["stageTimestamp"]),
    )


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def job_of(pod: str) -> str:
    """The job of a pod, by its name `JOB-ATTEMPT-WORKER`."""
    return pod.rsplit("-", 2)[0]


def attempt_of(pod: str) -> int:
    """The attempt of a pod, by its name."""
    return int(pod.rsplit("-", 2)[1])


def pods_made(log: AuditLog, namespace: str = NAMESPACE) -> dict[str, float]:
    """When each pod was created, by its name."""
    made = (request for request in log.requests(resource="pods", verb="create") if request.took_effect)
    return {request.name: request.answered for request in made if request.namespace == namespace}
