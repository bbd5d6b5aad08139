"""The keys of an Accelerate file: those of the guide's two files, and others that `accelerate config` writes."""

from typing import Final

from .setting import Setting
from .values import SWITCH, TEXT, WHOLE, nothing, one_of

SECTION: Final = "fsdp_config"
PREFIX: Final = "fsdp_"

_TPU: Final = "For TPUs."
_COMPILE: Final = "`training.compile` compiles each decoder layer."
_SHARDINGS: Final = {
    "FULL_SHARD": ("full", True),
    "SHARD_GRAD_OP": ("full", False),
    "NO_SHARD": ("none", True),
    "HYBRID_SHARD": ("hybrid", True),
    "HYBRID_SHARD_ZERO2": ("hybrid", False),
    "1": ("full", True),
    "2": ("full", False),
    "3": ("none", True),
    "4": ("hybrid", True),
    "5": ("hybrid", False),
}
_KINDS: Final = one_of(
    {"FSDP": "FSDP"},
    "convert reads FSDP files: answer `accelerate config` anew; fsdp.sharding full shards as DeepSpeed's stage 3, none "
    "replicates as MULTI_GPU",
)
_NO_TPU: Final = nothing("there are no TPUs")
_PRECISIONS: Final = one_of({"bf16": "bfloat16", "fp16": "float16", "no": None, "false": None})
_WRAPS: Final = one_of({name: name for name in ("TRANSFORMER_BASED_WRAP", "SIZE_BASED_WRAP", "NO_WRAP")})
_PREFETCHES: Final = one_of({name: name for name in ("BACKWARD_PRE", "BACKWARD_POST", "NO_PREFETCH")})
_STATES: Final = one_of({name: name for name in ("SHARDED_STATE_DICT", "FULL_STATE_DICT", "LOCAL_STATE_DICT")})

GUIDE: Final = (
    Setting(
        "compute_environment",
        one_of({"LOCAL_MACHINE": None}),
        remark="Always a cluster, or this machine with `peft-fsdp run`.",
    ),
    Setting(
        "debug",
        SWITCH,
        remark="Checks of collectives that slow every step; `workers.env` takes TORCH_DISTRIBUTED_DEBUG instead.",
    ),
    Setting("distributed_type", _KINDS, ("fsdp",), "Always FSDP; `fsdp.sharding: none` replicates.", combined=True),
    Setting("downcast_bf16", SWITCH, remark=_TPU),
    Setting("machine_rank", WHOLE, remark="The operator numbers the pods."),
    Setting("main_training_function", TEXT, remark="The trainer has one."),
    Setting(
        "mixed_precision",
        _PRECISIONS,
        ("training.precision",),
        "`bfloat16` in both: the base is bf16 (4 bit in the QLoRA run), adapters and optimizer state are float32.",
        combined=True,
    ),
    Setting("num_machines", WHOLE, ("workers.nodes",)),
    Setting(
        "num_processes",
        WHOLE,
        ("workers.gpusPerNode",),
        "GPUs of one node: the number of processes divided by the number of machines.",
        combined=True,
    ),
    Setting("main_process_ip", TEXT, remark="Set by the operator: worker 0's DNS name."),
    Setting("rdzv_backend", TEXT, remark="The operator starts all pods of an attempt together."),
    Setting("same_network", SWITCH, remark="Pods of a cluster are."),
    Setting("tpu_env", _NO_TPU, remark=_TPU),
    Setting("tpu_use_cluster", SWITCH, remark=_TPU),
    Setting("tpu_use_sudo", SWITCH, remark=_TPU),
    Setting("use_cpu", SWITCH, ("workers.gpusPerNode",), "`0` trains on CPUs, sharded as on GPUs.", combined=True),
    Setting(SECTION, nothing("it is a section"), ("fsdp",), "The section of the keys below.", combined=True),
    Setting("fsdp_auto_wrap_policy", _WRAPS, remark="Always: each decoder layer is a unit."),
    Setting(
        "fsdp_backward_prefetch", _PREFETCHES, remark="Always before the backward pass of each layer, as BACKWARD_PRE."
    ),
    Setting(
        "fsdp_cpu_ram_efficient_loading",
        SWITCH,
        remark="Always, and further: no process holds the whole model, rank 0 neither.",
    ),
    Setting("fsdp_forward_prefetch", SWITCH, remark="Never forced; FSDP2 prefetches by itself."),
    Setting("fsdp_offload_params", SWITCH, ("fsdp.cpuOffload",)),
    Setting(
        "fsdp_sharding_strategy",
        one_of(_SHARDINGS),
        ("fsdp.sharding", "fsdp.reshardAfterForward"),
        "`full`. HYBRID_SHARD is `hybrid`, NO_SHARD is `none`; SHARD_GRAD_OP is `full` with "
        "`fsdp.reshardAfterForward: false`.",
        combined=True,
    ),
    Setting(
        "fsdp_state_dict_type",
        _STATES,
        remark="Checkpoints are always sharded, the adapter beside them is always whole.",
    ),
    Setting(
        "fsdp_sync_module_states",
        SWITCH,
        remark="Each rank reads its own part of the weights; nothing is left to send.",
    ),
    Setting(
        "fsdp_use_orig_params",
        SWITCH,
        remark="False with `fsdp.version: 1`; FSDP2 shards trainable and frozen parameters one by one, so the "
        "question does not arise.",
    ),
)

MORE: Final = (
    Setting(
        "fsdp_version",
        one_of({"1": 1, "2": 2}),
        ("fsdp.version",),
        "2 unless `--fsdp-version 1` of `convert` asks for the compatible mode.",
        combined=True,
    ),
    Setting(
        "fsdp_reshard_after_forward",
        SWITCH,
        ("fsdp.reshardAfterForward",),
        "What FSDP2 has in the place of `fsdp_sharding_strategy`.",
        combined=True,
    ),
    Setting(
        "fsdp_activation_checkpointing",
        SWITCH,
        ("fsdp.activationCheckpointing",),
        "The same as `--gradient_checkpointing`.",
        combined=True,
    ),
    Setting("fsdp_activation_checkpointing_offload", SWITCH, ("fsdp.activationOffload",)),
    Setting("fsdp_transformer_layer_cls_to_wrap", TEXT, remark="Decoder layers are found in the model itself."),
    Setting("fsdp_min_num_params", WHOLE, remark="Each decoder layer is a unit, whatever its size."),
    Setting("gpu_ids", TEXT, remark="The cluster gives each pod its GPUs."),
    Setting("main_process_port", WHOLE, remark="Set by the operator."),
    Setting("enable_cpu_affinity", SWITCH, remark="The kubelet's CPU manager does it."),
    Setting("tpu_name", TEXT, remark=_TPU),
    Setting("tpu_zone", TEXT, remark=_TPU),
    Setting("tpu_vm", _NO_TPU, remark=_TPU),
    Setting("commands", _NO_TPU, remark=_TPU),
    Setting("command_file", _NO_TPU, remark=_TPU),
    Setting("deepspeed_config", nothing("sharding is FSDP's"), remark="Sharding is FSDP's."),
    Setting("megatron_lm_config", nothing("sharding is FSDP's"), remark="Sharding is FSDP's."),
    Setting("parallelism_config", nothing("sharding is FSDP's"), remark="Sharding is FSDP's."),
    Setting("mpirun_config", nothing("the operator starts the processes"), remark="The operator starts the processes."),
    Setting("ipex_config", nothing("a job has nothing like it"), remark="A job computes with PyTorch alone."),
    Setting("fp8_config", nothing("a job computes in 16 or 32 bit"), remark="A job computes in 16 or 32 bit."),
    Setting("dynamo_config", nothing("give --torch_compile to compile"), remark=_COMPILE),
    Setting("dynamo_backend", one_of({"NO": None}, "give --torch_compile to compile"), remark=_COMPILE),
)

KEYS: Final = GUIDE + MORE
