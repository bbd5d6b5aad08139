"""The headless Service that gives worker 0 its DNS name.

It selects worker 0 alone: rendezvous needs no other address, and a selector over all workers costs the endpoint
controllers about eleven writes per job of eight pods. Attempts need no part in it: the host name has the number.
"""

from typing import Any

from peft_fsdp_api import names
from peft_fsdp_api.job import PeftFsdpJob

from .identity import child_metadata


def render_service(job: PeftFsdpJob) -> dict[str, Any]:
    """Published before the pod is ready: a gang becomes ready only after it has met."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata(job),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {names.LABEL_JOB_UID: job.metadata.uid, names.LABEL_WORKER: "0"},
            "ports": [
                {"name": "rendezvous", "port": names.RENDEZVOUS_PORT, "protocol": "TCP"},
                {"name": "launcher", "port": names.LAUNCHER_PORT, "protocol": "TCP"},
            ],
        },
    }
