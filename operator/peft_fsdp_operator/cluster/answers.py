"""Makes sense of what came over the wire, or says that it is none: objects, pages of lists, events of watches, errors.

Between us and the API server may stand a proxy that answers with a page of its own, and a watch may end with an error
in place of an event. Whatever is read is looked through here for the few fields that all readers rely on, so that
nobody behind has to expect garbage. Called by `client`, and by `sound` for kopf.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from ..errors import ApiError, Garbled, api_error

CHANGES: Final = frozenset({"ADDED", "MODIFIED", "DELETED"})
BOOKMARK: Final = "BOOKMARK"
SHOWN: Final = 80

Object = dict[str, Any]


def read_object(text: bytes) -> Object:
    """A JSON object. Raises Garbled."""
    try:
        answer = orjson.loads(text)
    except ValueError as error:
        raise _garbled(text, str(error)) from error
    if not isinstance(answer, dict):
        raise _garbled(text, "no JSON object")
    return answer


def read_page(page: Object) -> Object:
    """A page of a list with its place in history and whole objects. Raises Garbled."""
    items = page.get("items")
    if not isinstance(items, list) or not _has_version(page) or not all(map(_is_whole, items)):
        raise Garbled(200, "Garbled", f"a list without items and resourceVersion, of kind {page.get('kind')!r}")
    return page


def read_event(line: bytes) -> Object:
    """An event of a watch that shows an object or a bookmark.

    Raises Gone where the watch's place in history is lost, and Garbled for every other error and for what is no event.
    """
    event = read_object(line)
    kind, found = event.get("type"), event.get("object")
    if kind == "ERROR":
        raise _told(found if isinstance(found, dict) else {})
    if (kind == BOOKMARK and _has_version(found)) or (kind in CHANGES and _is_whole(found)):
        return event
    raise _garbled(line, "no event")


def read_error(status: int, text: bytes, retry_after: str) -> ApiError:
    """What an answer of 400 or more stands for.

    That something is not there, not allowed or in conflict is believed only in the API server's own form: much follows
    from a node that is gone, and a proxy without a backend says 404 as well.
    """
    try:
        body = read_object(text)
    except Garbled:
        body = {"message": text[:500].decode(errors="replace")}
    if body.get("kind") != "Status" and status < 500 and status != 429:
        return Garbled(status, "Garbled", f"not in the words of an API server: {text[:SHOWN]!r}")
    return api_error(status, body, float(retry_after) if retry_after.isdigit() else None)


def _told(status: Mapping[str, Any]) -> ApiError:
    code = status.get("code")
    error = api_error(code if isinstance(code, int) else 500, status, None)
    return (
        error if error.status == 410 else Garbled(error.status, error.reason, f"ended with an error: {error.message}")
    )


def _is_whole(found: Any) -> bool:
    """Whether it has what tells objects and their versions apart."""
    return _has_version(found) and bool(found["metadata"].get("name") and found["metadata"].get("uid"))


def _has_version(found: Any) -> bool:
    metadata = found.get("metadata") if isinstance(found, dict) else None
    return isinstance(metadata, dict) and str(metadata.get("resourceVersion")).isdigit()


def _garbled(text: bytes, why: str) -> Garbled:
    return Garbled(200, "Garbled", f"not an answer of an API server ({why}): {text[:SHOWN]!r}")
