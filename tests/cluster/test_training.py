"""From `kubectl apply` to an adapter that loads, on two pods."""

import json
import math

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.cluster.jobs import demo_job
from tests.cluster.logits import exported_logits, trainer_logits
from tests.cluster.losses import evaluation_loss
from tests.cluster.runs import Runs

pytestmark = pytest.mark.cluster

QUANTIZATION = {"scheme": "nf4", "doubleQuant": True}


@pytest.mark.parametrize("sections", [{}, {"quantization": QUANTIZATION}], ids=["lora", "qlora"])
def test_two_pods_make_an_adapter_with_the_logits_and_loss_of_the_trainer(
    runs: Runs, demo_input, tmp_path, sections
) -> None:
    job = demo_job("lora" if not sections else "qlora", **sections)
    name = runs.apply(job)
    status = runs.wait_for_phase(name, "Succeeded")
    folder = runs.output / name / "adapter"
    assert status["adapter"]["path"] == f"{name}/adapter"
    assert status["workers"] == {"desired": 2, "pending": 0, "running": 0, "succeeded": 2, "failed": 0}
    loss = evaluation_loss(demo_input, folder, quantized=bool(sections), max_length=128)
    assert loss == pytest.approx(status["progress"]["evalLoss"], rel=1e-3)
    base, tokens = demo_input / "base-model", list(range(20, 84))
    last = runs.output / name / status["checkpoint"]["path"].removeprefix(f"{name}/")
    trained = trainer_logits(base, last, job["spec"], tokens, tmp_path)
    exported = exported_logits(base, folder, bool(sections), tokens)
    assert (trained - exported).norm() <= 1e-3 * trained.norm()
    assert (trained - exported).abs().max() <= 1e-3 * trained.abs().max()


def test_the_adapter_changes_the_answers_of_the_base(runs: Runs, demo_input) -> None:
    name = runs.apply(demo_job("changes", nodes=1))
    runs.wait_for_phase(name, "Succeeded")
    folder = runs.output / name / "adapter"
    base = AutoModelForCausalLM.from_pretrained(demo_input / "base-model")
    tokens = AutoTokenizer.from_pretrained(folder)("The lamp of the tower", return_tensors="pt")
    with torch.no_grad():
        before = base(**tokens).logits
        after = PeftModel.from_pretrained(base, str(folder))(**tokens).logits
    assert math.isfinite(after.sum().item())
    assert not torch.allclose(before, after, atol=1e-2)


def test_conditions_let_kubectl_wait(runs: Runs) -> None:
    name = runs.apply(demo_job("waited", nodes=1, steps=2))
    runs.kubectl("wait", "--for=condition=Complete", f"pfj/{name}", "--timeout=900s")
    conditions = {item["type"]: item["status"] for item in runs.status(name)["conditions"]}
    assert conditions["Ready"] == "True"
    assert conditions.get("Stalled", "False") == "False"


def test_applying_a_finished_job_again_runs_nothing(runs: Runs) -> None:
    job = demo_job("once", nodes=1, steps=2)
    name = runs.apply(job)
    before = runs.wait_for_phase(name, "Succeeded")
    runs.kubectl("apply", "-f", "-", input=json.dumps(job))
    runs.kubectl("delete", "pods", "-l", f"training.peft-fsdp.io/job={name}", "--wait=true")
    assert runs.status(name) == before
    assert runs.pods(name) == []
