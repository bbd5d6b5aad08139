"""The fields that several flags and keys make together, one rule per subject. Called by `conversion`, in this order."""

from collections.abc import Callable
from typing import Final

from .draft import Draft


def data(draft: Draft) -> None:
    """Splits as the guide's script takes them, and the form of the rows."""
    splits = draft.value("--splits", [])
    train = next((name for name in splits if "train" in name), None)
    test = next((name for name in splits if "test" in name and "train" not in name), None)
    if train is None and splits:
        draft.refuse("--splits", f'names no split for training: one with "train" in its name, not {", ".join(splits)}')
    if more := [name for name in splits if name not in (train, test)]:
        draft.refuse("--splits", f"a job trains on one split and evaluates on one; {', '.join(more)} is left over")
    if train is not None:
        draft.put("dataset.trainSplit", train, "--splits")
    if test is not None:
        draft.put("dataset.evalSplit", test, "--splits")
    template = draft.value("--chat_template_format")
    if template is not None:
        draft.put("dataset.chatTemplate", template, "--chat_template_format")
    if template != "none":
        draft.drop("--dataset_text_field", "Conversations are in `messages`; the script writes this column itself.")
        return
    draft.put("dataset.format", "text", "--chat_template_format")
    if draft.has("--dataset_text_field"):
        draft.put("dataset.textField", draft.value("--dataset_text_field"), "--dataset_text_field")


def model(draft: Draft) -> None:
    """The attention kernel, and that there is an adapter."""
    if draft.has("--use_flash_attn"):
        draft.put("model.attention", "auto" if draft.value("--use_flash_attn") else "sdpa", "--use_flash_attn")
    draft.explain("lora", "--use_peft_lora")
    if not draft.has("--use_peft_lora"):
        draft.choices.append(
            "lora: --use_peft_lora is not given, without which the script trains all weights; a job trains an adapter."
        )


def quantization(draft: Draft) -> None:
    """A section with NF4, or none."""
    parts = {
        "--bnb_4bit_quant_type": "scheme",
        "--use_nested_quant": "doubleQuant",
        "--bnb_4bit_compute_dtype": "computeDtype",
        "--bnb_4bit_quant_storage_dtype": "storageDtype",
    }
    if not draft.value("--use_4bit_quantization", False):
        draft.drop("--use_4bit_quantization", "No quantization section: the base stays in 16 bit.")
        for flag in parts:
            draft.drop(flag, "The base is not quantized.")
        return
    draft.put("quantization.scheme", "nf4", "--use_4bit_quantization", "--bnb_4bit_quant_type")
    draft.put("quantization.doubleQuant", draft.value("--use_nested_quant", False), "--use_nested_quant")
    for flag in ("--bnb_4bit_compute_dtype", "--bnb_4bit_quant_storage_dtype"):
        if draft.has(flag):
            draft.put(f"quantization.{parts[flag]}", draft.value(flag), flag)


def sharding(draft: Draft) -> None:
    """What FSDP spreads and recomputes."""
    draft.explain("fsdp", "distributed_type")
    kind, reshard = draft.value("fsdp_sharding_strategy", (None, True))
    if kind is not None:
        draft.put("fsdp.sharding", kind, "fsdp_sharding_strategy")
    if draft.has("fsdp_reshard_after_forward") and kind == "none":
        draft.drop("fsdp_reshard_after_forward", "Nothing is sharded.")
        return
    if draft.has("fsdp_reshard_after_forward"):
        reshard = draft.value("fsdp_reshard_after_forward")
    if draft.has("fsdp_reshard_after_forward") or not reshard:
        draft.put("fsdp.reshardAfterForward", reshard, "fsdp_sharding_strategy", "fsdp_reshard_after_forward")
    names = [name for name in ("--gradient_checkpointing", "fsdp_activation_checkpointing") if draft.has(name)]
    if names:
        draft.put("fsdp.activationCheckpointing", any(draft.value(name) for name in names), *names)


def precision(draft: Draft) -> None:
    """One type: the script's flags win over the file, as they do in the script."""
    sources = ("--bf16", "--fp16", "mixed_precision")
    bf16, fp16, mixed = (draft.value(name) for name in sources)
    if bf16 and fp16:
        draft.refuse("--fp16", "excludes --bf16; remove one of them")
    chosen = "bfloat16" if bf16 else "float16" if fp16 else mixed
    if any(draft.has(name) for name in sources):
        # No mixed precision at all: the guide's script loads the base in the storage type, else in float32.
        storage = draft.fields.get("quantization.storageDtype", "float32")
        draft.put("training.precision", chosen or storage, *sources)
    if mixed is not None and mixed != chosen:
        draft.choices.append(f"training.precision is {chosen}: the script's flag wins over mixed_precision.")


def duration(draft: Draft) -> None:
    """Epochs or steps, and the warm-up."""
    steps = draft.value("--max_steps", -1)
    if steps > 0:
        draft.put("training.maxSteps", steps, "--max_steps")
        draft.drop("--num_train_epochs", "--max_steps wins, as in the script.")
    else:
        draft.drop("--max_steps", "Not positive: epochs count.")
        if draft.has("--num_train_epochs"):
            epochs = draft.value("--num_train_epochs")
            draft.put("training.epochs", int(epochs) if epochs.is_integer() else epochs, "--num_train_epochs")
    warmup = draft.value("--warmup_steps", 0)
    if warmup < 1:
        ratio = warmup or draft.value("--warmup_ratio", 0.0)
    elif steps > 0:
        ratio = min(warmup / steps, 1.0)
    else:
        draft.refuse("--warmup_steps", f"a job has a ratio, and {warmup:g} steps are one only with --max_steps")
        return
    if draft.has("--warmup_steps"):
        draft.put("training.warmupRatio", ratio, "--warmup_steps", "--warmup_ratio")


def logging(draft: Draft) -> None:
    """Lines by steps, and trackers."""
    draft.explain("training.loggingSteps", "--logging_steps", "--logging_strategy")
    trackers = [name for name in draft.value("--report_to", []) if name != "none"]
    if "all" in trackers:
        draft.refuse("--report_to", "name the trackers; a job does not look for what is installed")
    elif trackers:
        draft.put("training.reportTo", trackers, "--report_to")
    else:
        draft.drop("--report_to", "No trackers by default.")


def evaluation(draft: Draft) -> None:
    """When the evaluation split is evaluated."""
    strategy = draft.value("--evaluation_strategy", "no")
    if strategy == "no":
        for name in ("--evaluation_strategy", "--eval_steps", "--per_device_eval_batch_size"):
            draft.drop(name, "Nothing is evaluated.")
        return
    _every(draft, "evaluation.every", "--evaluation_strategy", "--eval_steps")
    if draft.has("--per_device_eval_batch_size"):
        size = draft.value("--per_device_eval_batch_size")
        draft.put("evaluation.batchSize", size, "--per_device_eval_batch_size")


def checkpoints(draft: Draft) -> None:
    """When the state is saved."""
    if draft.value("--save_strategy") == "no":
        draft.drop("--save_strategy", "A job always saves, so that it can go on; by default after each epoch.")
        draft.drop("--save_steps", "--save_strategy is no.")
    else:
        _every(draft, "checkpoint.every", "--save_strategy", "--save_steps")


def _every(draft: Draft, field: str, strategy: str, steps: str) -> None:
    """An interval from a strategy and its number of steps."""
    match draft.value(strategy):
        case "epoch":
            draft.put(f"{field}.epochs", 1, strategy)
            draft.drop(steps, f"{strategy} is epoch.")
        case "steps" if draft.has(steps):
            draft.put(f"{field}.steps", draft.value(steps), strategy, steps)
        case "steps":
            draft.refuse(strategy, f"by steps needs their number; give {steps}")
        case _:
            draft.drop(steps, f"There is no {strategy} steps.")


def machines(draft: Draft) -> None:
    """Pods and processes."""
    nodes, processes = draft.value("num_machines", 1), draft.value("num_processes")
    on_cpus = draft.value("use_cpu", False)
    if not on_cpus:
        draft.drop("use_cpu", "GPUs, as many as `workers.gpusPerNode` says.")
    if processes is None and not draft.has("distributed_type"):
        return  # the file could not be read, which has been said
    if processes is None:
        draft.refuse("num_processes", "is missing; it says how many GPUs the job gets")
    elif nodes < 1 or processes < 1 or processes % nodes:
        draft.refuse("num_processes", f"{processes} processes do not spread evenly over {nodes} machines")
    elif on_cpus:
        draft.put("workers.gpusPerNode", 0, "use_cpu")
        draft.put("workers.processesPerNode", processes // nodes, "num_processes")
    else:
        draft.put("workers.gpusPerNode", processes // nodes, "num_processes")


RULES: Final[tuple[Callable[[Draft], None], ...]] = (
    data,
    model,
    quantization,
    sharding,
    precision,
    duration,
    logging,
    evaluation,
    checkpoints,
    machines,
)
