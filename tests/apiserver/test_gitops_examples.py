"""The examples for Flux and Argo CD before a real API server that has their CRDs."""

import json

import pytest
import yaml

from dev.gitops.foreign import crd_files
from tests.gitops.examples import EXAMPLES, documents, of_kind

pytestmark = pytest.mark.apiserver
JUDGED = ("GitRepository", "Kustomization", "Application", "Namespace")
"""A HelmRelease is read by Flux's own type (tests/gitops); what is pasted into Argo CD's settings is no object."""
FOUND = [
    pytest.param(one, id=f"{path.parent.name}-{path.stem}-{one['kind']}")
    for path in EXAMPLES
    for one in documents(path)
    if one.get("kind") in JUDGED
]


@pytest.fixture(scope="module")
def foreign(api_server):
    files = [argument for path in crd_files() for argument in ("-f", str(path))]
    api_server.kubectl("apply", "--server-side", *files)
    for path in crd_files():
        api_server.wait_until_served(yaml.safe_load(path.read_text())["metadata"]["name"])
    yield api_server
    api_server.kubectl("delete", *files)


@pytest.fixture
def create(foreign, kubectl):
    """Create an example in the namespace of the test, without keeping it."""

    def ask(example):
        text = json.dumps({**example, "metadata": {"name": example["metadata"]["name"]}})
        return kubectl("create", "--validate=strict", "--dry-run=server", "-f", "-", input=text)

    return ask


@pytest.mark.parametrize("example", FOUND)
def test_an_example_is_taken(create, example):
    result = create(example)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_field_that_is_not_there_is_refused(create):
    example = of_kind("Application")[0]
    result = create({**example, "spec": {**example["spec"], "syncPolicies": {}}})
    assert 'unknown field "spec.syncPolicies"' in result.stderr
