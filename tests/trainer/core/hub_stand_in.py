"""A few endpoints of the Hub on loopback: enough for a repository to be made and a folder to be committed to it."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.trainer.core.loopback import serving


class HubStandIn:
    """What was asked for, and what was uploaded."""

    def __init__(self, refuse: bool) -> None:
        self.refuse = refuse
        self.repositories: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.tokens: set[str] = set()
        self.address = ""

    def answer(self, method: str, path: str, body: bytes, headers: Any) -> tuple[int, Any]:
        self.tokens.add(headers.get("Authorization", ""))
        if self.refuse:
            return 403, {"error": "write access is missing"}
        path = path.split("?")[0]
        if path == "/api/repos/create":
            made = {"url": f"{self.address}/me/adapter", "name": "me/adapter"}
            self.repositories.append(json.loads(body))
            return (200, made) if len(self.repositories) == 1 else (409, {**made, "error": "it exists already"})
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if not path.startswith("/api/models/me/adapter"):
            return 404, {"error": f"no repository at {path}: an id has a namespace"}
        if path.endswith("/preupload/main"):
            files = json.loads(body)["files"]
            return 200, {
                "files": [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False} for file in files]
            }
        if path.endswith("/commit/main"):
            self._commit(body)
            return 200, {"commitUrl": f"{self.address}/me/adapter/commit/1", "commitOid": "1" * 40, "hookOutput": ""}
        if path.endswith("/revision/main") or path == "/api/models/me/adapter":
            return 200, {"id": "me/adapter", "sha": "0" * 40, "siblings": []}
        return 404, {"error": f"{method} {path}"}

    def _commit(self, body: bytes) -> None:
        for line in body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                self.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])


@contextmanager
def hub_stand_in(refuse: bool = False) -> Iterator[HubStandIn]:
    hub = HubStandIn(refuse)

    class Handler(BaseHTTPRequestHandler):
        def _respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, content = hub.answer(self.command, self.path, body, self.headers)
            text = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_HEAD = _respond

        def log_message(self, *_: Any) -> None:
            return

    with serving(Handler) as hub.address:
        yield hub
