"""A Hub on loopback that has one dataset: listed, described and read in ranges as the datasets library does."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.trainer.core.loopback import serving

DATASET = "me/data"
COMMIT = "d" * 40


class DatasetHub:
    """The files of a folder under DATASET, or an answer with a status and a code to everything."""

    def __init__(self, folder: Path, refusal: tuple[int, str] | None) -> None:
        self.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.refusal = refusal
        self.address = ""
        self.asked: Counter[str] = Counter()

    def entries(self, names: list[str]) -> list[dict[str, object]]:
        return [
            {"type": "file", "path": name, "size": len(self.files[name]), "oid": "0" * 40}
            for name in names
            if name in self.files
        ]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: DatasetHub

    def do_GET(self) -> None:
        self.respond()

    def do_HEAD(self) -> None:
        self.respond()

    def do_POST(self) -> None:
        self.respond()

    def respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.asked[f"{self.command} {path}"] += 1
        api = f"/api/datasets/{DATASET}"
        if self.hub.refusal is not None:
            self.answer(self.hub.refusal[0], b"", {"X-Error-Code": self.hub.refusal[1]})
        elif path.startswith(f"/datasets/{DATASET}/resolve/"):
            self.file(path.rpartition("/")[2])
        elif "/paths-info/" in path:
            self.json(self.hub.entries(json.loads(body)["paths"]))
        elif "/tree/" in path and path.startswith(api):
            self.json(self.hub.entries(list(self.hub.files)))
        elif path.startswith(api):
            siblings = [{"rfilename": name} for name in self.hub.files]
            self.json({"id": DATASET, "sha": COMMIT, "siblings": siblings, "tags": [], "private": False})
        else:
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})

    def file(self, name: str) -> None:
        content = self.hub.files.get(name)
        if content is None:
            self.answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        headers = {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if wanted := self.headers.get("Range"):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            part = content[int(first) : int(last or len(content)) + 1]
            place = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
            self.answer(206, part, {**headers, "Content-Range": place})
        else:
            self.answer(200, content, headers)

    def json(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def dataset_hub(folder: Path, refusal: tuple[int, str] | None = None) -> Iterator[DatasetHub]:
    hub = DatasetHub(folder, refusal)
    with serving(type("Handler", (_Handler,), {"hub": hub})) as hub.address:
        yield hub
