"""The API server's audit log: who asked for what, and whether it was refused."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asked:
    """One request. `resource` includes the subresource; it is empty for paths such as /version."""

    group: str
    resource: str
    verb: str
    code: int
    path: str


def asked_by(user: str, audit_log: Path) -> Iterator[Asked]:
    """All requests of a user, in the order in which they were answered."""
    for line in audit_log.read_text().splitlines():
        entry = json.loads(line)
        if entry["user"]["username"] != user:
            continue
        target = entry.get("objectRef", {})
        yield Asked(
            group=target.get("apiGroup", ""),
            resource="/".join(filter(None, (target.get("resource"), target.get("subresource")))),
            verb=entry["verb"],
            code=entry.get("responseStatus", {}).get("code", 0),
            path=entry["requestURI"],
        )
