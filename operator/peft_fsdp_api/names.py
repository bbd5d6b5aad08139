"""Names that more than one part of the system must spell the same way.

The operator writes them into Kubernetes objects, the launcher reads them inside the pod, and users see them.
"""

from typing import Final

GROUP: Final = "training.peft-fsdp.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "PeftFsdpJob"
PLURAL: Final = "peftfsdpjobs"
SINGULAR: Final = "peftfsdpjob"
SHORT_NAME: Final = "pfj"
CATEGORY: Final = "ml"

FIELD_MANAGER: Final = "peft-fsdp-operator"
MANAGED_BY: Final = "peft-fsdp-operator"

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_JOB: Final = f"{GROUP}/job"
LABEL_JOB_UID: Final = f"{GROUP}/job-uid"
LABEL_ATTEMPT: Final = f"{GROUP}/attempt"
LABEL_WORKER: Final = f"{GROUP}/worker"

# A pod is called <job>-<attempt>-<worker>, and that name is its host name (63 characters at most): 53 characters
# leave room for a four-digit attempt and a four-digit worker.
JOB_NAME_MAX_LENGTH: Final = 53
JOB_NAME_PATTERN: Final = "[a-z]([-a-z0-9]*[a-z0-9])?"

TRAINER_CONTAINER: Final = "trainer"
# User and group of the pods' processes.
USER_ID: Final = 1000
RENDEZVOUS_PORT: Final = 29500
# How long the workers of a gang wait for each other before they end.
RENDEZVOUS_SECONDS: Final = 1800
LAUNCHER_PORT: Final = 8471
PROGRESS_PATH: Final = "/progress"
METRICS_PATH: Final = "/metrics"
HEALTH_PATH: Final = "/healthz"
# The pod's grace period: time for the common save of all ranks. The launcher kills ranks that have not saved a
# little earlier, so that it can still write the outcome.
TERMINATION_GRACE_SECONDS: Final = 120
LAUNCHER_GRACE_SECONDS: Final = TERMINATION_GRACE_SECONDS - 10

CONFIG_FILE: Final = "config.json"
CONFIG_DIRECTORY: Final = "/etc/peft-fsdp"
CONFIG_PATH: Final = f"{CONFIG_DIRECTORY}/{CONFIG_FILE}"
OUTPUT_MOUNT: Final = "/output"
CACHE_MOUNT: Final = "/cache"
SCRATCH_MOUNT: Final = "/scratch"
TERMINATION_MESSAGE_PATH: Final = "/dev/termination-log"
# The kubelet cuts a termination message at 4096 bytes.
TERMINATION_MESSAGE_BYTES: Final = 4096

# Below the output path.
ADAPTER_DIRECTORY: Final = "adapter"
MERGED_DIRECTORY: Final = "merged"
CHECKPOINTS_DIRECTORY: Final = "checkpoints"
OWNER_FILE: Final = ".peft-fsdp-job.json"
ATTEMPT_FILE: Final = ".peft-fsdp-attempt.json"

ENV_MASTER_ADDR: Final = "MASTER_ADDR"
ENV_MASTER_PORT: Final = "MASTER_PORT"
ENV_NNODES: Final = "NNODES"
ENV_NODE_RANK: Final = "NODE_RANK"
ENV_NPROC_PER_NODE: Final = "NPROC_PER_NODE"
ENV_WORLD_SIZE: Final = "WORLD_SIZE"
ENV_ATTEMPT: Final = "PEFT_FSDP_ATTEMPT"
ENV_HUB_TOKEN: Final = "HF_TOKEN"

# Set by the operator or by the launcher; a job that sets them would break the rendezvous or lose its cache.
RESERVED_ENV: Final = (
    ENV_MASTER_ADDR,
    ENV_MASTER_PORT,
    ENV_NNODES,
    ENV_NODE_RANK,
    ENV_NPROC_PER_NODE,
    ENV_WORLD_SIZE,
    "RANK",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "HF_HOME",
    "HF_TOKEN",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "HOME",
    "TMPDIR",
)
RESERVED_ENV_PREFIXES: Final = ("PEFT_FSDP_", "TORCHELASTIC_", "PET_")

RESERVED_MOUNTS: Final = (OUTPUT_MOUNT, CACHE_MOUNT, SCRATCH_MOUNT, CONFIG_DIRECTORY, "/dev/shm", "/tmp")

# The operator's own volumes in every pod; a job's volumes have other names.
RESERVED_VOLUME_PREFIX: Final = "peft-fsdp-"
