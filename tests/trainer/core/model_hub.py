"""A Hub on loopback that has one model to download, and counts what it is asked for."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.trainer.core.loopback import serving

REPOSITORY = "me/base"
COMMIT = "c" * 40


class ModelHub:
    """The files of a folder under REPOSITORY."""

    def __init__(self, folder: Path, refusal: tuple[int, str] | None) -> None:
        self.refusal = refusal
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.address = ""
        self.fetched: Counter[str] = Counter()
        """GET requests by file name."""

    def tree(self) -> bytes:
        entries = [
            {"type": "file", "path": name, "size": len(content), "oid": "0" * 40}
            for name, content in self.files.items()
        ]
        return json.dumps(entries).encode()

    def info(self) -> bytes:
        siblings = [{"rfilename": name, "size": len(content)} for name, content in self.files.items()]
        return json.dumps({"id": REPOSITORY, "sha": COMMIT, "siblings": siblings, "tags": []}).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: ModelHub

    def do_GET(self) -> None:
        if self.hub.refusal is not None:
            self.refuse(*self.hub.refusal)
        elif "/resolve/" in self.path:
            self.file(with_content=True)
        elif self.path.startswith(f"/api/models/{REPOSITORY}"):
            listing = self.hub.tree() if "/tree/" in self.path else self.hub.info()
            self.answer(200, listing, {"Content-Type": "application/json"})
        else:
            self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})

    def do_HEAD(self) -> None:
        if self.hub.refusal is not None:
            self.refuse(*self.hub.refusal, with_content=False)
        else:
            self.file(with_content=False)

    def refuse(self, status: int, code: str, with_content: bool = True) -> None:
        """As the Hub does for a gated model (403 with a code) and for a token that is none (401 without)."""
        headers = {"X-Error-Code": code} if code else {"X-Error-Message": "Invalid credentials in Authorization header"}
        self.answer(status, b"", headers, with_content)

    def file(self, with_content: bool) -> None:
        name = self.path.split("?")[0].rpartition("/")[2]
        self.hub.fetched[name] += with_content
        content = self.hub.files.get(name)
        if content is None:
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound"}, with_content)
        else:
            headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
            self.answer(200, content, headers, with_content)

    def answer(self, status: int, content: bytes, headers: dict[str, str], with_content: bool = True) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_content:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def model_hub(folder: Path, refusal: tuple[int, str] | None = None) -> Iterator[ModelHub]:
    hub = ModelHub(folder, refusal)
    with serving(type("Handler", (_Handler,), {"hub": hub})) as hub.address:
        yield hub
