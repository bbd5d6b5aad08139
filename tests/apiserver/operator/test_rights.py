"""What all tests of this folder made operators ask for, and what the chart allows: nothing missing, nothing unused.

These run last, after everything that makes the operator ask; see `conftest`.
"""

import json
from pathlib import Path

import pytest

from tests.apiserver.chart_release import granted

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def asked(api_server):
    """(API group, resource, verb) of each request of an operator since the control plane was started."""
    found = set()
    for line in api_server.audit_log.read_text().splitlines():
        event = json.loads(line)
        target = event.get("objectRef")
        if target and event.get("userAgent", "").startswith("peft-fsdp-operator/"):
            resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
            found.add((target.get("apiGroup", ""), resource, event["verb"]))
    return found


async def test_an_operator_asked_for_something(world, asked):
    assert ("training.peft-fsdp.io", "peftfsdpjobs", "watch") in asked


def test_every_request_is_allowed_by_the_chart(asked):
    assert asked - granted() == set()


def test_everything_that_the_chart_allows_was_asked_for(request, asked):
    """Only the whole folder makes the operator do all it can."""
    collected = {item.path for item in request.session.items}
    if request.config.option.keyword or not set(Path(__file__).parent.glob("test_*.py")) <= collected:
        pytest.skip("only some of the tests were chosen")
    assert granted() - asked == set()
