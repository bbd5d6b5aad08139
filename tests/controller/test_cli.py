"""The commands that need no cluster."""

import logging

import pytest
import yaml

from peft_fsdp_operator.cli import main
from peft_fsdp_operator.logs import FACTS, set_up_logging

GOOD = """
apiVersion: training.peft-fsdp.io/v1alpha1
kind: PeftFsdpJob
metadata: {name: tune}
spec:
  model: {source: org/model}
  dataset: {source: org/data, trainSplit: train}
  workers: {nodes: 2, gpusPerNode: 8}
  output: {claim: models}
"""
CLAIM = "\n---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: models}\n"


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "job.yaml"
        path.write_text(text)
        return str(path)

    return write


def test_a_valid_job_passes_next_to_its_claim(file, capsys):
    assert main(["validate", file(GOOD + CLAIM)]) == 0
    assert capsys.readouterr().out.endswith("valid\n")


def test_a_file_is_read_as_kubectl_reads_it(file, capsys):
    rate = GOOD.replace("  output:", "  training: {learningRate: 1e-4}\n  output:")
    assert main(["validate", file(rate)]) == 0
    twice = GOOD.replace("  output:", "  model: {source: other}\n  output:")
    assert main(["validate", file(twice)]) == 1
    assert 'key "model" is set twice' in capsys.readouterr().err


def test_jobs_of_a_list_are_all_checked(file, capsys):
    indented = "".join(f"  {line}\n" for line in GOOD.strip().splitlines())
    listed = "kind: List\napiVersion: v1\nitems:\n" + indented.replace("  api", "- api", 1) * 2
    assert main(["validate", file(listed)]) == 0
    assert capsys.readouterr().out.count("valid") == 2


def test_all_problems_are_told_with_their_fields(file, capsys):
    wrong = GOOD.replace("nodes: 2", "nodes: two").replace("claim: models", "claimm: models")
    assert main(["validate", file(wrong)]) == 1
    told = capsys.readouterr().out
    assert "spec.workers.nodes: " in told
    assert "spec.output.claimm: " in told


def test_render_prints_what_the_operator_would_create(file, capsys):
    assert main(["render", file(GOOD), "--trainer-image", "mine:1"]) == 0
    text = capsys.readouterr().out
    objects = list(yaml.safe_load_all(text))
    assert [one["kind"] for one in objects] == ["Service", "ConfigMap", "Pod", "Pod"]
    assert "  config.json: |-\n    {" in text
    assert "&id" not in text
    assert objects[2]["spec"]["containers"][0]["image"] == "mine:1"


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [\n", CLAIM + CLAIM])
def test_what_is_no_job_is_an_error_in_one_line(file, capsys, text):
    assert main(["validate", file(text)]) == 1
    assert len(capsys.readouterr().err.strip().splitlines()) >= 1


@pytest.mark.parametrize("metadata", ["metadata:", "metadata: tune", "metadata: {}", ""])
@pytest.mark.parametrize("command", ["render", "validate"])
def test_a_job_without_a_name_is_told_its_field(file, capsys, command, metadata):
    assert main([command, file(GOOD.replace("metadata: {name: tune}", metadata))]) == 1
    told = capsys.readouterr()
    assert ": metadata" in told.out + told.err


def test_run_says_what_it_misses(capsys):
    assert main(["run"]) == 1
    assert "--trainer-image" in capsys.readouterr().err


@pytest.fixture
def root_logger():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(("end", "level"), [("will retry: GET /", "WARNING"), ("escalating: GET /", "ERROR")])
def test_a_request_of_kopf_that_is_sent_again_is_no_error(capsys, root_logger, end, level):
    set_up_logging("text", "INFO")
    logging.getLogger("kopf.objects").error(f"Request attempt #1/9 failed; {end}")
    assert f" {level} " in capsys.readouterr().err


def test_log_lines_name_job_attempt_and_reason():
    assert {"job", "attempt", "reason"} <= set(FACTS)
