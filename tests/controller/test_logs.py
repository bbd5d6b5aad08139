"""Log lines: one each, for people or for programs, with the facts, and without what nobody should read there."""

import json
import logging

import pytest

from peft_fsdp_api.job import InvalidJob, parse_job
from peft_fsdp_operator.logs import FACTS, MESSAGE_MAX, set_up_logging

DECISION = {"job": "team/tune", "attempt": 2, "phase": "Restarting", "reason": "LostPeer"}


@pytest.fixture(autouse=True)
def quiet_afterwards():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capsys, form, message, level="INFO", **facts):
    set_up_logging(form, level)
    logging.getLogger("peft_fsdp_operator.reconcile").info("%s", message, extra=facts)
    return capsys.readouterr().err.splitlines()


def test_a_line_of_json_holds_the_facts_of_a_decision(capsys):
    (line,) = lines(capsys, "json", "attempt 1 ended:\nboom", **DECISION)
    told = json.loads(line)
    assert {name: told[name] for name in FACTS if name in told} == DECISION
    assert (told["level"], told["message"]) == ("INFO", "attempt 1 ended:\nboom")


def test_a_line_of_text_stays_one_line(capsys):
    (line,) = lines(capsys, "text", "attempt 1 ended:\nboom", **DECISION)
    assert line.endswith("attempt 1 ended:\\nboom [job=team/tune attempt=2 phase=Restarting reason=LostPeer]")


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_answer_of_anybody_is_logged_at_full_length(capsys, form):
    (line,) = lines(capsys, form, "x" * 100_000)
    assert len(line) < MESSAGE_MAX + 300
    assert "100000 characters" in line


@pytest.mark.parametrize("name", ["kopf.objects", "aiohttp.client", "asyncio"])
def test_libraries_that_would_tell_everything_are_silent_even_at_debug(capsys, name):
    set_up_logging("text", "DEBUG")
    logging.getLogger(name).debug("the whole object")
    assert capsys.readouterr().err == ""


def test_a_traceback_is_part_of_its_line_of_json(capsys):
    set_up_logging("json", "INFO")
    try:
        raise ValueError("boom")
    except ValueError as error:
        logging.getLogger("peft_fsdp_operator.queue").error("pass failed", exc_info=error)
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: boom" in json.loads(line)["exception"]


def test_the_value_of_an_environment_variable_is_in_no_message():
    raw = {"metadata": {"name": "tune"}, "spec": {"workers": {"env": [{"name": "TOKEN", "value": 271828}]}}}
    with pytest.raises(InvalidJob) as caught:
        parse_job(raw)
    assert "spec.workers.env[0].value: must be of type string" in str(caught.value)
    assert "271828" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "where", "told"),
    [("kopf.clients", "/namespaces/n/", 0), ("kopf.clients", "/", 1), ("peft_fsdp_operator", "/namespaces/n/", 1)],
)
def test_kopf_does_not_repeat_that_a_namespace_may_not_be_read(capsys, name, where, told):
    set_up_logging("text", "INFO")
    logging.getLogger(name).error(f"Request attempt #9 failed; will retry: GET {where} -> APIForbiddenError()")
    assert len(capsys.readouterr().err.splitlines()) == told
