"""The audit log of an API server with bodies, as the story of each job: every successful write, by resource version."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from peft_fsdp_api import names

KEPT = ("pods", "services", "configmaps", names.PLURAL)
OPERATOR = "peft-fsdp-operator/"


@dataclass(frozen=True)
class Write:
    """One object as a write left it; one that was deleted at once as it was last."""

    version: int
    time: str
    """When the request arrived; comparable as text."""
    verb: str
    resource: str
    """With its subresource."""
    by_operator: bool
    before: int | None
    """The resource version that the request named."""
    content: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.content["metadata"]["name"])

    @property
    def uid(self) -> str:
        return str(self.content["metadata"]["uid"])

    @property
    def is_gone(self) -> bool:
        """Whether the object exists no longer: deleted with nobody to wait for."""
        return self.verb == "delete" and not self.content["metadata"].get("deletionGracePeriodSeconds")


@dataclass
class Trail:
    """Read bit by bit while the log grows. `stories` are the writes by the uid of the job."""

    log: Path
    stories: dict[str, list[Write]] = field(default_factory=lambda: defaultdict(list))
    lost_nodes: dict[str, str] = field(default_factory=dict)
    """When nodes were removed."""
    _offset: int = 0
    _newest: dict[str, int] = field(default_factory=dict)
    """Version by uid: the answer to one of two deletes at once has none."""

    def read(self) -> None:
        """Take in what was added since the last time."""
        with self.log.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                self._take(orjson.loads(line))

    def story(self, uid: str) -> list[Write]:
        """In the order of versions. A delete by force may be answered with the version before its own: it is last."""
        writes = self.stories.get(uid, [])
        newest = {write.uid: write.version for write in sorted(writes, key=lambda write: write.version)}
        return sorted(writes, key=lambda one: (newest[one.uid] if one.is_gone else one.version, one.is_gone))

    def forget(self, uid: str) -> None:
        """The job is judged: a thousand of them need not stay in memory."""
        for write in self.stories.pop(uid, []):
            self._newest.pop(write.uid, None)

    def _take(self, entry: Mapping[str, Any]) -> None:
        target = entry.get("objectRef") or {}
        if entry["verb"] not in ("create", "update", "patch", "delete"):
            return
        if entry.get("responseStatus", {}).get("code", 500) >= 300:
            return
        if target.get("resource") == "nodes" and entry["verb"] == "delete":
            self.lost_nodes[target["name"]] = entry["requestReceivedTimestamp"]
        content = entry.get("responseObject") or {}
        if target.get("resource") not in KEPT or "uid" not in content.get("metadata", {}):
            return
        metadata = content["metadata"]
        metadata.setdefault("resourceVersion", self._newest.get(metadata["uid"], 0))
        self._newest[metadata["uid"]] = int(metadata["resourceVersion"])
        for uid in _jobs_of(target["resource"], content):
            self.stories[uid].append(_write(entry, target, content))


def _write(entry: Mapping[str, Any], target: Mapping[str, Any], content: Mapping[str, Any]) -> Write:
    asked = (entry.get("requestObject") or {}).get("metadata") or {}
    parts = (target["resource"], target.get("subresource"))
    return Write(
        version=int(content["metadata"]["resourceVersion"]),
        time=entry["requestReceivedTimestamp"],
        verb=entry["verb"],
        resource="/".join(part for part in parts if part),
        by_operator=entry.get("userAgent", "").startswith(OPERATOR),
        before=int(asked["resourceVersion"]) if asked.get("resourceVersion") else None,
        content=content,
    )


def _jobs_of(resource: str, content: Mapping[str, Any]) -> Iterator[str]:
    if resource == names.PLURAL:
        yield content["metadata"]["uid"]
    for owner in content["metadata"].get("ownerReferences") or []:
        if owner["kind"] == names.KIND:
            yield owner["uid"]
