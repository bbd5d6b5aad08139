"""The ConfigMap with the one file the trainer reads."""

from typing import Any

from peft_fsdp_api import names
from peft_fsdp_api.job import PeftFsdpJob
from peft_fsdp_api.trainer_config import pod_paths, trainer_config

from .identity import child_metadata


def render_configmap(job: PeftFsdpJob) -> dict[str, Any]:
    """The same for all workers and all attempts."""
    config = trainer_config(job, pod_paths(job))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": child_metadata(job),
        "data": {names.CONFIG_FILE: config.model_dump_json(by_alias=True, exclude_none=True, indent=2)},
    }
