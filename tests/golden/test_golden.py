"""The examples rendered, compared whole; and what must hold for each of them whatever else changes."""

import pytest
import yaml

from peft_fsdp_api.job import parse_job
from tests.golden.rendered import EXAMPLES, golden_files, present_files, render

NAMES = sorted(path.name for path in EXAMPLES.glob("*.yaml"))


def test_every_golden_file_is_what_the_operator_makes():
    assert {path: path.read_text() for path in present_files()} == dict(golden_files())


@pytest.mark.parametrize("name", NAMES)
def test_each_example_gives_one_service_one_config_and_a_pod_per_node(name):
    spec = parse_job(yaml.safe_load((EXAMPLES / name).read_text())).spec
    kinds = [manifest["kind"] for manifest in yaml.safe_load_all(render(EXAMPLES / name))]
    assert kinds == ["Service", "ConfigMap"] + ["Pod"] * spec.workers.nodes


@pytest.mark.parametrize("name", NAMES)
def test_rendering_twice_gives_the_same(name):
    assert render(EXAMPLES / name) == render(EXAMPLES / name)
