"""Who a child belongs to: the labels and the owner reference that every object of a job carries."""

from typing import Any

from peft_fsdp_api import names
from peft_fsdp_api.job import PeftFsdpJob


def job_labels(job: PeftFsdpJob) -> dict[str, str]:
    """Labels of all children."""
    return {
        "app.kubernetes.io/name": "peft-fsdp-job",
        "app.kubernetes.io/instance": job.name,
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_JOB: job.name,
        names.LABEL_JOB_UID: job.metadata.uid,
    }


def owner_reference(job: PeftFsdpJob) -> dict[str, Any]:
    """The job as controller: garbage collection removes the child with it. It does not block the deletion, which
    would need a right on the job's finalizers in some clusters and gains nothing."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": job.name,
        "uid": job.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def child_metadata(job: PeftFsdpJob) -> dict[str, Any]:
    """Metadata of the objects that are called like the job."""
    return {
        "name": job.name,
        "namespace": job.metadata.namespace,
        "labels": job_labels(job),
        "ownerReferences": [owner_reference(job)],
    }
