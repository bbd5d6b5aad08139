"""What comes over the wire is an answer of the API server, or an error that says that it is none."""

import json

import pytest

from peft_fsdp_operator.cluster.answers import read_error, read_event, read_object, read_page
from peft_fsdp_operator.errors import Garbled, Gone, NotFound, Refused, Unavailable

POD = {"metadata": {"name": "tune-1-0", "uid": "u", "resourceVersion": "7"}}
HTML = b"<html>Please log in.</html>"


def event(kind, found):
    return json.dumps({"type": kind, "object": found}).encode()


def test_events_and_bookmarks_come_through():
    assert read_event(event("ADDED", POD))["object"] == POD
    assert read_event(event("BOOKMARK", {"metadata": {"resourceVersion": "8"}}))["type"] == "BOOKMARK"


@pytest.mark.parametrize(
    "line",
    [
        HTML,
        b"",
        b"[]",
        b'"ADDED"',
        b"{}",
        b'{"type": "ADDED", "object": {"metadata": {"na',
        b'{"type": "ADDED"}',
        b"\xff\xfe",
        event("ADDED", None),
        event("ADDED", {"metadata": {"name": "tune-1-0", "resourceVersion": "7"}}),
        event("MODIFIED", {"metadata": {**POD["metadata"], "resourceVersion": "new"}}),
        event("BOOKMARK", {"metadata": {}}),
        event("PROGRESS", POD),
        event("ERROR", None),
        event("ERROR", "no word"),
        event("ERROR", {"code": "500"}),
        event("ERROR", {"kind": "Status", "code": 404, "reason": "NotFound"}),
        event("ERROR", {"kind": "Status", "code": 403, "reason": "Forbidden"}),
    ],
)
def test_whatever_else_a_watch_says_begins_it_anew(line):
    with pytest.raises(Garbled):
        read_event(line)


def test_a_lost_place_in_history_is_told_apart():
    with pytest.raises(Gone):
        read_event(event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"}))


@pytest.mark.parametrize(
    "page",
    [
        {},
        {"items": None, "metadata": {"resourceVersion": "7"}},
        {"items": [], "metadata": {}},
        {"items": [{}], "metadata": {"resourceVersion": "7"}},
    ],
)
def test_a_list_is_whole_or_none(page):
    with pytest.raises(Garbled):
        read_page(page)
    assert read_page({"items": [POD], "metadata": {"resourceVersion": "7"}})


def test_an_object_is_json():
    with pytest.raises(Garbled):
        read_object(HTML)


@pytest.mark.parametrize("code", [400, 403, 404, 409, 410, 422])
def test_that_something_is_not_there_or_not_allowed_only_the_api_server_can_say(code):
    assert isinstance(read_error(code, HTML, ""), Garbled)
    own = type(read_error(code, b'{"kind": "Status", "reason": "AlreadyExists"}', ""))
    assert own is not Garbled


def test_errors_of_the_api_server_keep_their_kind():
    assert isinstance(read_error(404, b'{"kind": "Status"}', ""), NotFound)
    assert isinstance(read_error(403, b'{"kind": "Status"}', ""), Refused)
    busy = read_error(429, b"Too many requests, please try again later.", "3")
    assert (type(busy), busy.retry_after) == (Unavailable, 3)
    assert isinstance(read_error(502, b"[]", ""), Unavailable)
