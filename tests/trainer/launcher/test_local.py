"""`peft-fsdp run`: what a job becomes on a machine without a cluster, and what is refused before anything starts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from peft_fsdp_api.job import InvalidJob
from peft_fsdp_api.names import API_VERSION, KIND
from peft_fsdp_trainer.local import LocalRun, plan_run, read_job

Plan = Callable[..., LocalRun]


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Plans a small CPU job whose sections are replaced by those given; its claims lie in `claims`."""
    (tmp_path / "claims" / "input" / "base").mkdir(parents=True)
    (tmp_path / "claims" / "input" / "data").mkdir()

    def plan_job(processes: int | None = None, environment: dict[str, str] | None = None, **sections: Any) -> LocalRun:
        workers = {
            "gpusPerNode": 0,
            "volumes": [{"name": "in", "persistentVolumeClaim": {"claimName": "input"}}],
            "volumeMounts": [{"name": "in", "mountPath": "/mnt/in"}],
        } | sections.pop("workers", {})
        spec = {
            "model": {"source": "/mnt/in/base"},
            "dataset": {"source": "/mnt/in/data"},
            "output": {"claim": "results"},
            "workers": workers,
        } | sections
        file = tmp_path / "job.yaml"
        file.write_text(
            yaml.safe_dump({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "tiny"}, "spec": spec})
        )
        return plan_run(read_job(file), file, tmp_path / "claims", processes, environment or {})

    return plan_job


def problems(call: Callable[[], object]) -> list[str]:
    """The sentences of a job that is refused."""
    with pytest.raises(InvalidJob) as refused:
        call()
    return [str(problem) for problem in refused.value.problems]


def test_a_claim_is_a_folder(plan: Plan, tmp_path: Path) -> None:
    config = plan().config
    assert config.model.source == f"{tmp_path}/claims/input/base"
    assert config.dataset.source == f"{tmp_path}/claims/input/data"
    assert config.paths.output == f"{tmp_path}/claims/results/tiny"
    assert config.paths.volume == f"{tmp_path}/claims/results"


def test_sub_path_and_the_longest_mount_win(plan: Plan, tmp_path: Path) -> None:
    mounts = [{"name": "in", "mountPath": "/mnt"}, {"name": "in", "mountPath": "/mnt/in/base", "subPath": "data"}]
    config = plan(workers={"volumeMounts": mounts}, dataset={"source": "/mnt/base"}).config
    assert config.model.source == f"{tmp_path}/claims/input/data/"[:-1]
    assert config.dataset.source == f"{tmp_path}/claims/input/base"


def test_an_adapter_of_another_job_is_found_below_the_output(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "claims" / "results" / "earlier").mkdir(parents=True)
    assert plan(model={"source": "/output/earlier"}).config.model.source == f"{tmp_path}/claims/results/earlier"


def test_hub_ids_and_existing_paths_stay(plan: Plan, tmp_path: Path) -> None:
    config = plan(model={"source": "org/model"}, dataset={"source": str(tmp_path)}).config
    assert (config.model.source, config.dataset.source) == ("org/model", str(tmp_path))


def test_missing_folders_are_named_as_they_are_here(plan: Plan, tmp_path: Path) -> None:
    model, dataset = problems(lambda: plan(model={"source": "/mnt/in/nothing"}, dataset={"source": "/elsewhere"}))
    assert f"spec.model.source: /mnt/in/nothing is {tmp_path}/claims/input/nothing" in model
    assert "mkdir -p" in model
    assert "spec.dataset.source: nothing is at /elsewhere" in dataset


def test_a_volume_that_only_a_cluster_has(plan: Plan) -> None:
    volumes = [{"name": "in", "configMap": {"name": "data"}}]
    assert all("which only a cluster has" in text for text in problems(lambda: plan(workers={"volumes": volumes})))


@pytest.mark.parametrize(
    ("workers", "processes", "words"),
    [
        ({"nodes": 2, "processesPerNode": 3}, None, "give --processes 6 to run all 2 x 3 ranks here"),
        ({"gpusPerNode": 4}, None, "spec.workers.gpusPerNode: the job needs 4 GPUs, and CUDA sees"),
        ({"env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {}}}]}, None, "set KEY in your environment"),
    ],
    ids=["nodes", "gpus", "value-from"],
)
def test_what_one_machine_lacks(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, workers: dict[str, Any], processes: int | None, words: str
) -> None:
    monkeypatch.setattr("peft_fsdp_trainer.local.visible_gpus", lambda: 0)
    assert any(words in text for text in problems(lambda: plan(processes, workers=workers)))


def test_ranks(plan: Plan) -> None:
    assert plan(workers={"processesPerNode": 3}).processes == 3
    assert plan(4, workers={"nodes": 2, "processesPerNode": 2}).processes == 4


def test_hybrid_sharding_needs_nodes(plan: Plan) -> None:
    sections = {"workers": {"nodes": 2}, "fsdp": {"sharding": "hybrid"}}
    assert any("use full" in text for text in problems(lambda: plan(2, **sections)))


def test_the_token_comes_from_the_environment(plan: Plan) -> None:
    hub = {"tokenSecret": "hub"}
    assert "HF_TOKEN" in problems(lambda: plan(hub=hub))[0]
    assert plan(hub=hub, environment={"HF_TOKEN": "t"}).environment["HF_TOKEN"] == "t"


def test_environment_of_the_ranks(plan: Plan, tmp_path: Path) -> None:
    run = plan(
        environment={"FROM": "shell", "TWICE": "shell"},
        hub={"offline": True},
        cache={"claim": "cache"},
        workers={"env": [{"name": "TWICE", "value": "job"}, {"name": "FROM", "valueFrom": {"secretKeyRef": {}}}]},
    )
    assert run.environment == {
        "FROM": "shell",
        "TWICE": "job",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": f"{tmp_path}/claims/cache/huggingface",
    }
    assert plan(hub={"endpoint": "https://mirror"}).environment["HF_ENDPOINT"] == "https://mirror"


def test_variables_of_env_from_are_said_not_to_be_read(plan: Plan) -> None:
    assert "envFrom[0] is not read here" in plan(workers={"envFrom": [{"secretRef": {"name": "w"}}]}).notes[0]


def test_the_same_file_and_claims_are_the_same_job(plan: Plan, tmp_path: Path) -> None:
    first, again = plan().config.job, plan(training={"maxSteps": 3}).config.job
    assert first == again
    other = plan_run(read_job(tmp_path / "job.yaml"), tmp_path / "copy.yaml", tmp_path / "claims", None, {})
    assert other.config.job.uid != first.uid


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "it is not YAML"),
        ("", "it holds no object of kind"),
        ("- 1", "no Kubernetes object"),
        ("kind: Pod\n---\nkind: Service", "it holds no object of kind"),
        ("kind: Job\nspec: {}", "kind"),
    ],
)
def test_files_that_hold_no_job(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "job.yaml").write_text(text)
    assert any(words in text for text in problems(lambda: read_job(tmp_path / "job.yaml")))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "cannot be read" in problems(lambda: read_job(tmp_path / "none.yaml"))[0]
