"""The example jobs: valid, short where they promise it, and complete."""

import re

import pytest
import yaml

from dev.chart.helm import REPOSITORY
from peft_fsdp_api.job import parse_job
from peft_fsdp_api.names import KIND

EXAMPLES = sorted((REPOSITORY / "manifests" / "examples").glob("*.yaml"))


def test_the_examples_that_the_documents_name_are_there():
    assert {path.stem for path in EXAMPLES} == {
        "minimal",
        "llama-70b-lora-8xh100",
        "llama-70b-qlora-2x24gb",
        "multi-node",
        "cpu-demo",
        "cpu-demo-qlora-2-nodes",
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_one_valid_job(path):
    (raw,) = yaml.safe_load_all(path.read_text())
    assert parse_job(raw).name


def test_the_minimal_job_takes_at_most_fifteen_lines():
    assert len((REPOSITORY / "manifests" / "examples" / "minimal.yaml").read_text().splitlines()) <= 15


@pytest.mark.parametrize("document", ["README.md", "docs/getting-started.md"])
def test_the_job_that_a_document_shows_is_the_minimal_one(document):
    text = (REPOSITORY / document).read_text()
    shown = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    jobs = [one for one in shown if one.get("kind") == KIND]
    assert jobs == [yaml.safe_load((REPOSITORY / "manifests" / "examples" / "minimal.yaml").read_text())]


@pytest.mark.parametrize("stem", ["cpu-demo", "cpu-demo-qlora-2-nodes"])
def test_the_cpu_demos_shard_over_two_ranks_and_stay_off_the_network(stem):
    spec = parse_job(yaml.safe_load((REPOSITORY / "manifests" / "examples" / f"{stem}.yaml").read_text())).spec
    assert (spec.workers.world_size, spec.workers.gpus_per_node) == (2, 0)
    assert spec.hub.offline
    assert spec.model.source.startswith("/demo/")
