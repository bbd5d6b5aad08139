"""What a request of the operator asks for, read from its method, path and body. `proxy` matches rules against it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class Asked:
    """`point` names a write within the life of a job, the same in every life: `create pods 1-0`."""

    verb: str
    resource: str
    """With its subresource: `peftfsdpjobs/status`."""
    name: str
    job: str = ""
    """The job that a write is about; empty for reads and for Leases."""
    point: str = ""

    @property
    def is_write(self) -> bool:
        return self.verb in VERBS.values()


def read_request(method: str, path: str, query: Mapping[str, str], body: bytes) -> Asked:
    """`path` is one of a namespaced resource, of a node, or of something else, which has no resource here."""
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if parts[:1] == ["namespaces"] and len(parts) > 2:
        parts = parts[2:]
    resource, name, subresource = (*parts, "", "", "")[:3]
    verb = VERBS.get(method) or ("watch" if query.get("watch") else "get" if name else "list")
    full = f"{resource}/{subresource}" if subresource else resource
    if method == "GET":
        return Asked(verb, full, name)
    content = json.loads(body) if body else {}
    name = name or content.get("metadata", {}).get("name", "")
    job, detail = _detail(full, name, content)
    return Asked(verb, full, name, job, f"{verb} {full} {detail}".strip())


def _detail(resource: str, name: str, body: Mapping[str, Any]) -> tuple[str, str]:
    """The job, and what of it the write is about."""
    if resource == "peftfsdpjobs/status":
        status = body.get("status") or {}
        return name, f"{status.get('attempt', 0)} {status.get('phase')}"
    if resource == "events":
        return body["involvedObject"]["name"], f"{body['reason']}"
    if resource == "pods":
        job, attempt, worker = name.rsplit("-", 2)
        return job, f"{attempt}-{worker}"
    return ("", "") if resource == "leases" else (name, "")
