"""The flags of the guide's script: those of its two runs, and others that the script takes and people add."""

from typing import Final

from .setting import Setting
from .values import NAMES, NUMBER, SWITCH, TEXT, WHOLE, one_of, only

_DTYPES: Final = {"bfloat16": "bfloat16", "float16": "float16", "float32": "float32"}
_STORAGE: Final = one_of(
    {"bfloat16": "bfloat16", "float32": "float32"}, "FSDP shards the packed 4-bit values in these types only"
)
_STRATEGY: Final = one_of({"no": "no", "epoch": "epoch", "steps": "steps"})
_WHENS: Final = {"every_save": "checkpoint", "checkpoint": "checkpoint", "all_checkpoints": "checkpoint", "end": "end"}
_SCHEDULERS: Final = one_of(
    {name: name for name in ("cosine", "linear", "constant", "constant_with_warmup", "polynomial", "inverse_sqrt")}
)
_OPTIMIZERS: Final = one_of(
    {name: name for name in ("adamw_torch", "adamw_torch_fused", "adamw_hf")},
    "a job has AdamW with float32 state and no paged or 8-bit one",
)

GUIDE: Final = (
    Setting("--seed", WHOLE, ("training.seed",)),
    Setting("--model_name_or_path", TEXT, ("model.source",), "A Hub id, or an absolute path in a mounted volume."),
    Setting("--dataset_name", TEXT, ("dataset.source",), "A Hub id, or the path of jsonl, parquet or arrow files."),
    Setting(
        "--chat_template_format",
        one_of({"chatml": "chatml", "zephyr": "zephyr", "none": "none"}),
        ("dataset.chatTemplate",),
        "`none` means text that is formatted already: `dataset.format` is `text` then. Nothing is added to the "
        "vocabulary; the guide's script adds the template's markers and resizes the embeddings.",
        combined=True,
    ),
    Setting(
        "--add_special_tokens",
        SWITCH,
        remark="Conversations get what the chat template writes and nothing else; plain text gets the tokenizer's own "
        "tokens.",
    ),
    Setting(
        "--append_concat_token",
        SWITCH,
        remark="No token is put between packed documents: attention keeps them apart.",
    ),
    Setting("--splits", NAMES, ("dataset.trainSplit", "dataset.evalSplit"), "One field each.", combined=True),
    Setting("--max_seq_len", WHOLE, ("dataset.maxLength",)),
    Setting("--num_train_epochs", NUMBER, ("training.epochs",), "Or `training.maxSteps`.", combined=True),
    Setting("--logging_steps", WHOLE, ("training.loggingSteps",)),
    Setting("--log_level", TEXT, remark="The trainer's log always tells what `info` does."),
    Setting(
        "--logging_strategy",
        one_of({"steps": "steps"}, "a job logs by steps"),
        ("training.loggingSteps",),
        "Always by steps.",
        combined=True,
    ),
    Setting(
        "--evaluation_strategy",
        _STRATEGY,
        ("evaluation.every",),
        "`{epochs: 1}`; also steps or minutes.",
        combined=True,
    ),
    Setting(
        "--eval_strategy",
        _STRATEGY,
        ("evaluation.every",),
        "The newer name of the same flag.",
        same_as="--evaluation_strategy",
        combined=True,
    ),
    Setting(
        "--save_strategy", _STRATEGY, ("checkpoint.every",), "`{epochs: 1}`; also steps or minutes.", combined=True
    ),
    Setting(
        "--push_to_hub",
        SWITCH,
        ("output.pushToHub",),
        "Present means push. Its `repo` is required; the guide's default is the name of the output folder.",
        combined=True,
    ),
    Setting("--hub_private_repo", SWITCH, ("output.pushToHub.private",), combined=True),
    Setting(
        "--hub_strategy",
        one_of(_WHENS),
        ("output.pushToHub.when",),
        "`checkpoint`; `end` pushes once.",
        combined=True,
    ),
    Setting("--bf16", SWITCH, ("training.precision",), "`bfloat16`.", combined=True),
    Setting(
        "--packing",
        SWITCH,
        ("dataset.packing",),
        "Attention stays inside each document, which the guide's packing does not do.",
    ),
    Setting("--learning_rate", NUMBER, ("training.learningRate",)),
    Setting("--lr_scheduler_type", _SCHEDULERS, ("training.scheduler",)),
    Setting("--weight_decay", NUMBER, ("training.weightDecay",)),
    Setting("--warmup_ratio", NUMBER, ("training.warmupRatio",)),
    Setting("--max_grad_norm", NUMBER, ("training.maxGradNorm",)),
    Setting(
        "--output_dir",
        TEXT,
        ("output.claim", "output.path"),
        "A folder in a PersistentVolumeClaim; its `adapter` folder is what `PeftModel.from_pretrained` loads.",
        combined=True,
    ),
    Setting("--per_device_train_batch_size", WHOLE, ("training.batchSize",)),
    Setting(
        "--per_device_eval_batch_size",
        WHOLE,
        ("evaluation.batchSize",),
        "`training.batchSize` by default.",
        combined=True,
    ),
    Setting("--gradient_accumulation_steps", WHOLE, ("training.gradientAccumulation",)),
    Setting("--gradient_checkpointing", SWITCH, ("fsdp.activationCheckpointing",), "True by default.", combined=True),
    Setting(
        "--use_reentrant",
        SWITCH,
        remark="Always the non-reentrant form: it gives the same numbers and works with frozen inputs, on a 4-bit base "
        "too.",
    ),
    Setting(
        "--dataset_text_field",
        TEXT,
        ("dataset.textField",),
        "Only with `--chat_template_format none`, for a dataset that has text. Otherwise the guide's script writes the "
        "conversations into this column itself; here `messages` become text without one.",
        combined=True,
    ),
    Setting(
        "--use_flash_attn",
        SWITCH,
        ("model.attention",),
        "`auto` takes flash attention where image, GPU and model have it; `flash_attention_2` insists on it. False is "
        "`sdpa`.",
        combined=True,
    ),
    Setting(
        "--use_peft_lora",
        only(True, "there is always an adapter, and training all weights is not possible"),
        ("lora",),
        "There is always an adapter.",
        combined=True,
    ),
    Setting("--lora_r", WHOLE, ("lora.rank",)),
    Setting("--lora_alpha", WHOLE, ("lora.alpha",)),
    Setting("--lora_dropout", NUMBER, ("lora.dropout",)),
    Setting("--lora_target_modules", NAMES, ("lora.targets",), "A list; `[all-linear]` by default.", takes_many=True),
    Setting(
        "--use_4bit_quantization",
        SWITCH,
        ("quantization",),
        "Absent means a 16-bit base; `scheme: nf4` means 4 bit.",
        combined=True,
    ),
    Setting("--use_nested_quant", SWITCH, ("quantization.doubleQuant",), combined=True),
    Setting("--bnb_4bit_compute_dtype", one_of(_DTYPES), ("quantization.computeDtype",), combined=True),
    Setting(
        "--bnb_4bit_quant_storage_dtype",
        _STORAGE,
        ("quantization.storageDtype",),
        "For `fsdp.version: 1`; version 2 shards the packed bytes themselves.",
        combined=True,
    ),
)

MORE: Final = (
    Setting(
        "--max_seq_length", WHOLE, ("dataset.maxLength",), "Another name of `--max_seq_len`.", same_as="--max_seq_len"
    ),
    Setting("--max_length", WHOLE, ("dataset.maxLength",), "Today's name of `--max_seq_len`.", same_as="--max_seq_len"),
    Setting("--dataset_config_name", TEXT, ("dataset.name",)),
    Setting(
        "--dataset_streaming",
        SWITCH,
        ("dataset.streaming",),
        "Needs `--max_steps`, and checkpoints and evaluations by steps.",
    ),
    Setting(
        "--max_steps",
        WHOLE,
        ("training.maxSteps",),
        "Wins over `--num_train_epochs`, as in the script; -1 means that epochs count.",
        combined=True,
    ),
    Setting("--eval_steps", WHOLE, ("evaluation.every",), "With `--eval_strategy steps`.", combined=True),
    Setting("--save_steps", WHOLE, ("checkpoint.every",), "With `--save_strategy steps`.", combined=True),
    Setting("--save_total_limit", WHOLE, ("checkpoint.keep",)),
    Setting("--hub_model_id", TEXT, ("output.pushToHub.repo",), "The output folder's name by default.", combined=True),
    Setting(
        "--hub_token",
        TEXT,
        remark="No token stands in a job: put it into the Secret of `hub.tokenSecret`.",
        secret=True,
    ),
    Setting("--fp16", SWITCH, ("training.precision",), "`float16`.", combined=True),
    Setting(
        "--warmup_steps",
        NUMBER,
        ("training.warmupRatio",),
        "Below 1 it is the ratio; a number of steps needs `--max_steps`.",
        combined=True,
    ),
    Setting(
        "--activation_checkpointing",
        SWITCH,
        ("fsdp.activationCheckpointing",),
        "Today's name of `--gradient_checkpointing`.",
        same_as="--gradient_checkpointing",
        combined=True,
    ),
    Setting("--torch_compile", SWITCH, ("training.compile",), "Layer by layer."),
    Setting(
        "--report_to",
        NAMES,
        ("training.reportTo",),
        "tensorboard, wandb, mlflow; `none` is the default.",
        combined=True,
        takes_many=True,
    ),
    Setting(
        "--trust_remote_code", SWITCH, ("model.trustRemoteCode",), "False by default; the guide's script allows it."
    ),
    Setting(
        "--bnb_4bit_quant_type",
        one_of({"nf4": "nf4"}, "4-bit bases are stored as nf4"),
        ("quantization.scheme",),
        combined=True,
    ),
    Setting(
        "--use_8bit_quantization",
        only(False, "an 8-bit base cannot be sharded; use --use_4bit_quantization"),
        remark="8-bit bases cannot be sharded.",
    ),
    Setting(
        "--use_unsloth",
        only(False, "Unsloth does not run with FSDP"),
        remark="Unsloth does not run with FSDP.",
    ),
    Setting("--optim", _OPTIMIZERS, remark="Always AdamW with float32 state."),
    Setting("--logging_first_step", SWITCH, remark="The first line comes after `training.loggingSteps` steps."),
    Setting("--logging_dir", TEXT, remark="TensorBoard's files are in the `tensorboard` folder of the output."),
    Setting("--run_name", TEXT, remark="Runs of trackers are named after the job."),
    Setting("--disable_tqdm", SWITCH, remark="There are no progress bars; `kubectl get pfj` shows the progress."),
    Setting("--overwrite_output_dir", SWITCH, remark="A job never overwrites the output of another one."),
    Setting("--resume_from_checkpoint", TEXT, remark="A job always goes on from its newest committed checkpoint."),
    Setting("--save_safetensors", SWITCH, remark="Adapters are always safetensors."),
    Setting("--remove_unused_columns", SWITCH, remark="Only the columns that `dataset` names are read."),
    Setting(
        "--dataloader_num_workers",
        WHOLE,
        remark="Rows are tokenized before training, or, when they are streamed, on a thread; there are no workers.",
    ),
    Setting("--dataloader_pin_memory", SWITCH, remark="Always, on GPUs."),
    Setting("--gradient_checkpointing_kwargs", TEXT, remark="Always the non-reentrant form."),
    Setting("--do_train", SWITCH, remark="A job always trains."),
    Setting("--do_eval", SWITCH, remark="`evaluation` says whether and when."),
)

FLAGS: Final = GUIDE + MORE
