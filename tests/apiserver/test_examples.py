"""The examples and what the operator makes of them, before a real API server: nothing is refused or changed."""

import json

import pytest

from tests.apiserver.chart_release import RESTRICTED
from tests.golden.rendered import EXAMPLES, FOLDER

pytestmark = pytest.mark.apiserver

NAMES = sorted(path.name for path in EXAMPLES.glob("*.yaml"))
STRICT = "--validate=strict"


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_accepted_and_stored_as_it_was_written(kubectl, name):
    applied = kubectl("apply", STRICT, "-o=json", "-f", str(EXAMPLES / name))
    assert applied.returncode == 0, applied.stderr
    assert applied.stderr == ""
    written = kubectl("create", STRICT, "--dry-run=client", "-o=json", "-f", str(EXAMPLES / name))
    assert json.loads(applied.stdout)["spec"] == json.loads(written.stdout)["spec"]


@pytest.mark.parametrize("name", NAMES)
def test_its_children_are_accepted_in_a_restricted_namespace(kubectl, namespace, name):
    kubectl("label", "namespace", namespace, RESTRICTED)
    children = (FOLDER / name).read_text().replace("namespace: default", f"namespace: {namespace}")
    created = kubectl("create", STRICT, "--dry-run=server", "-f", "-", input=children)
    assert created.returncode == 0, created.stderr
    assert "Warning" not in created.stderr
