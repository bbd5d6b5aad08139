"""Builders of small jobs on the demo's base model and dataset."""

from typing import Any

from dev.demo.inputs import CLAIM
from dev.demo.walk import OUTPUT_CLAIM
from peft_fsdp_api.names import API_VERSION, KIND


def demo_job(name: str, nodes: int = 2, steps: int = 12, **sections: dict[str, Any]) -> dict[str, Any]:
    """A CPU job of one rank per pod; keyword arguments are merged into the sections of its spec."""
    spec: dict[str, Any] = {
        "model": {"source": "/demo/base-model"},
        "dataset": {
            "source": "/demo/data",
            "evalSplit": "test",
            "chatTemplate": "chatml",
            "maxLength": 128,
        },
        "lora": {"rank": 8, "alpha": 16, "dropout": 0.0},
        "training": {"maxSteps": steps, "batchSize": 2, "learningRate": 1e-3, "loggingSteps": 1},
        "evaluation": {"every": {"steps": steps}},
        "checkpoint": {"every": {"steps": 4}},
        "output": {"claim": OUTPUT_CLAIM},
        "workers": {
            "nodes": nodes,
            "gpusPerNode": 0,
            "nodeSelector": {"kubernetes.io/hostname": "node-1"},  # not on a node that another test lets die
            "volumes": [{"name": "demo", "persistentVolumeClaim": {"claimName": CLAIM}}],
            "volumeMounts": [{"name": "demo", "mountPath": "/demo"}],
        },
    }
    for section, fields in sections.items():
        spec[section] = {**spec.get(section, {}), **fields} if isinstance(fields, dict) else fields
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}
