"""Why a run ended: the reasons, their exit codes and what each means for the restart budgets.

The trainer exits with the code, the launcher writes the reason into the `Outcome`, the operator decides by the
budget and shows the hint.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .names import ATTEMPT_FILE, USER_ID


class Budget(StrEnum):
    """Which restart budget an end of an attempt is charged to."""

    NONE = "none"
    """Never retried: the same would happen again (or there is nothing to retry)."""
    FREE = "free"
    """Always retried and counted nowhere: nothing failed, the cluster only had no room for all at once."""
    APPLICATION = "application"
    INFRASTRUCTURE = "infrastructure"
    PREEMPTION = "preemption"


class Reason(StrEnum):
    """CamelCase names, stable: users and alert rules match on them."""

    SUCCEEDED = "Succeeded"
    CONFIG_INVALID = "ConfigInvalid"
    MODEL_NOT_AVAILABLE = "ModelNotAvailable"
    DATASET_INVALID = "DatasetInvalid"
    OUTPUT_CONFLICT = "OutputConflict"
    UNSUPPORTED = "Unsupported"
    OUT_OF_MEMORY = "OutOfMemory"
    LOSS_NOT_FINITE = "LossNotFinite"
    QUANTIZATION_SELF_CHECK = "QuantizationSelfCheck"
    HUB_PUSH_FAILED = "HubPushFailed"
    DISK_FULL = "DiskFull"
    VOLUME_NOT_WRITABLE = "VolumeNotWritable"
    RENDEZVOUS_FAILED = "RendezvousFailed"
    LOST_PEER = "LostPeer"
    COLLECTIVE_TIMEOUT = "CollectiveTimeout"
    APPLICATION_ERROR = "ApplicationError"
    NO_PROGRESS = "NoProgress"
    PREEMPTED = "Preempted"
    SUPERSEDED = "Superseded"
    NODE_LOST = "NodeLost"
    POD_DELETED = "PodDeleted"
    DISRUPTED = "Disrupted"
    EVICTED = "Evicted"
    KUBELET_REJECTED = "KubeletRejected"
    GANG_INCOMPLETE = "GangIncomplete"
    START_DEADLINE_EXCEEDED = "StartDeadlineExceeded"
    ACTIVE_DEADLINE_EXCEEDED = "ActiveDeadlineExceeded"
    SPEC_INVALID = "SpecInvalid"
    CLAIM_NOT_FOUND = "ClaimNotFound"
    CLAIM_NOT_SHARED = "ClaimNotShared"
    CLAIM_NOT_WRITABLE = "ClaimNotWritable"


@dataclass(frozen=True)
class ReasonFacts:
    """What follows from a reason. `exit_code` is None for reasons that only the operator can see."""

    exit_code: int | None
    budget: Budget
    hint: str


REASONS: Final[dict[Reason, ReasonFacts]] = {
    Reason.SUCCEEDED: ReasonFacts(0, Budget.NONE, ""),
    Reason.APPLICATION_ERROR: ReasonFacts(
        1, Budget.APPLICATION, "Read the last lines above; `kubectl logs` of the named pod has the rest."
    ),
    Reason.CONFIG_INVALID: ReasonFacts(
        64,
        Budget.NONE,
        "Operator and trainer image disagree about the configuration: use the same version of both.",
    ),
    Reason.MODEL_NOT_AVAILABLE: ReasonFacts(
        65, Budget.NONE, "Check spec.model.source and, for a gated model, spec.hub.tokenSecret."
    ),
    Reason.DATASET_INVALID: ReasonFacts(66, Budget.NONE, "Check spec.dataset: source, splits, format and columns."),
    Reason.OUTPUT_CONFLICT: ReasonFacts(67, Budget.NONE, "Choose another spec.output.path, or move what lies there."),
    Reason.UNSUPPORTED: ReasonFacts(
        68, Budget.NONE, "Change the named field, or use an image that has what is missing."
    ),
    Reason.OUT_OF_MEMORY: ReasonFacts(
        69,
        Budget.NONE,
        "Lower training.batchSize and raise training.gradientAccumulation as much, or lower dataset.maxLength; then "
        "quantization (nf4), fsdp.activationOffload, fsdp.cpuOffload, or more GPUs.",
    ),
    Reason.LOSS_NOT_FINITE: ReasonFacts(
        70,
        Budget.NONE,
        "Lower training.learningRate, use precision bfloat16, and look at the data of the named step.",
    ),
    Reason.HUB_PUSH_FAILED: ReasonFacts(
        71,
        Budget.APPLICATION,
        "The adapter is complete in the output; check the token's write access and push it by hand.",
    ),
    Reason.DISK_FULL: ReasonFacts(
        72,
        Budget.APPLICATION,
        "Make room on the named volume or lower checkpoint.keep; the next attempt goes on from the last checkpoint.",
    ),
    Reason.VOLUME_NOT_WRITABLE: ReasonFacts(
        79,
        Budget.NONE,
        f"Pods run as user and group {USER_ID}: on a volume that ignores fsGroup (NFS, EFS, hostPath) "
        f"`chown -R {USER_ID}:{USER_ID}` the folder, or use an access point for {USER_ID}.",
    ),
    Reason.RENDEZVOUS_FAILED: ReasonFacts(
        73,
        Budget.INFRASTRUCTURE,
        "Worker 0 was not reachable: look at DNS and NetworkPolicies of the namespace.",
    ),
    Reason.LOST_PEER: ReasonFacts(
        74,
        Budget.INFRASTRUCTURE,
        "Another worker went away: the cause is the end of its pod, or its node, or the network between the two.",
    ),
    Reason.COLLECTIVE_TIMEOUT: ReasonFacts(
        75,
        Budget.INFRASTRUCTURE,
        "A rank stopped answering: look at the pod and node (GPU, disk) of the one that stood still, then at the "
        "network between the nodes.",
    ),
    Reason.NO_PROGRESS: ReasonFacts(
        None,
        Budget.INFRASTRUCTURE,
        "Look at the named rank's pod and node; raise spec.stallTimeout if the work is only slow.",
    ),
    Reason.PREEMPTED: ReasonFacts(76, Budget.PREEMPTION, "The run was asked to stop and saved its state."),
    Reason.SUPERSEDED: ReasonFacts(
        78,
        Budget.NONE,
        "A newer attempt of this job goes on in the same output, and this one left it alone. If no newer attempt runs, "
        f"the job's status is older than its output: remove {ATTEMPT_FILE} there.",
    ),
    Reason.QUANTIZATION_SELF_CHECK: ReasonFacts(
        77,
        Budget.NONE,
        "Use fsdp.version 2, leave quantization out, or use another trainer image; report it.",
    ),
    Reason.NODE_LOST: ReasonFacts(None, Budget.INFRASTRUCTURE, "The node is gone, unreachable, or was restarted."),
    Reason.POD_DELETED: ReasonFacts(None, Budget.INFRASTRUCTURE, "Somebody or something deleted the pod."),
    Reason.DISRUPTED: ReasonFacts(
        None, Budget.PREEMPTION, "The cluster took the pod away (preemption, eviction, drain)."
    ),
    Reason.EVICTED: ReasonFacts(
        None,
        Budget.INFRASTRUCTURE,
        "The node ran short of what the message names: ask for memory or ephemeral-storage in workers.resources, put "
        "downloads on cache.claim, or make room on the node.",
    ),
    Reason.KUBELET_REJECTED: ReasonFacts(
        None, Budget.INFRASTRUCTURE, "The node refused the pod or could not start its container; the message says why."
    ),
    Reason.GANG_INCOMPLETE: ReasonFacts(
        None,
        Budget.FREE,
        "The workers of a job run all at once or not at all: free what the named one waits for, or ask for less. "
        "spec.startDeadline bounds the wait.",
    ),
    Reason.START_DEADLINE_EXCEEDED: ReasonFacts(
        None,
        Budget.NONE,
        "The pods did not all start in time; status.waiting said why. Raise spec.startDeadline or free resources.",
    ),
    Reason.ACTIVE_DEADLINE_EXCEEDED: ReasonFacts(
        None, Budget.NONE, "The run took longer than spec.activeDeadline allows."
    ),
    Reason.SPEC_INVALID: ReasonFacts(None, Budget.NONE, "Correct the named fields and apply the job again."),
    Reason.CLAIM_NOT_FOUND: ReasonFacts(
        None, Budget.NONE, "Create the PersistentVolumeClaim in the job's namespace, or correct its name in the spec."
    ),
    Reason.CLAIM_NOT_SHARED: ReasonFacts(
        None,
        Budget.NONE,
        "Pods on several nodes need a claim with access mode ReadWriteMany; use such a claim, or workers.nodes 1.",
    ),
    Reason.CLAIM_NOT_WRITABLE: ReasonFacts(
        None,
        Budget.NONE,
        "Adapter, checkpoints and downloads are written: use a claim with access mode ReadWriteMany, or ReadWriteOnce "
        "with workers.nodes 1. What is only read belongs into workers.volumes.",
    ),
}

EXIT_CODES: Final[dict[int, Reason]] = {
    facts.exit_code: reason for reason, facts in REASONS.items() if facts.exit_code is not None
}


def exit_code(reason: Reason) -> int:
    """The exit code of a reason that a process can have. Raises ValueError for the operator's own reasons."""
    code = REASONS[reason].exit_code
    if code is None:
        raise ValueError(f"{reason} is seen by the operator, no process exits with it")
    return code
