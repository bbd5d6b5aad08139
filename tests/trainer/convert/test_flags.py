"""One flag or key at a time: what it becomes, and what is said where it cannot become anything."""

import pytest

from peft_fsdp_api.job import InvalidJob
from peft_fsdp_trainer.convert.conversion import convert
from peft_fsdp_trainer.convert.options import Options
from tests.trainer.convert.runs import LORA_FILE, LORA_FLAGS, QLORA_FILE, QLORA_FLAGS

ABSENT = object()
FOUR_BIT = "--use_4bit_quantization"
NEEDED = ["--model_name_or_path", "org/model", "--dataset_name", "org/data", "--output_dir", "out"]


def without(flags, *names):
    """The flags of a run but for these."""
    groups = " ".join(flags).split(" --")
    return " --".join(group for group in groups if f"--{group.removeprefix('--').split()[0]}" not in names).split()


def spec(flags, keys="", base=LORA_FILE):
    return convert([*NEEDED, *flags.split()], _changed(base.read_text(), keys), Options()).manifest["spec"]


def _changed(text, keys):
    """The file with other values of some keys, `key: value` in each line; new ones are added where they belong."""
    for line in filter(None, keys.splitlines()):
        name = line.split(":")[0]
        old = next((old for old in text.splitlines() if old.strip().startswith(f"{name}:")), None)
        if old is not None:
            text = text.replace(old, f"  {line}" if name.startswith("fsdp_") else line)
        elif name.startswith("fsdp_"):
            text = text.replace("fsdp_config:\n", f"fsdp_config:\n  {line}\n")
        else:
            text = f"{line}\n{text}"
    return text


def at(value, path):
    for name in path.split("."):
        value = value.get(name, ABSENT) if isinstance(value, dict) else ABSENT
    return value


@pytest.mark.parametrize(
    ("flags", "path", "value"),
    [
        ("--max_seq_len 64", "dataset.maxLength", 64),
        ("--max_seq_length 64", "dataset.maxLength", 64),
        ("--max_length=64", "dataset.maxLength", 64),
        ("--max-length 64", "dataset.maxLength", 64),
        ("--eval_strategy steps --eval_steps 7 --splits train,test", "evaluation.every.steps", 7),
        ("--evaluation_strategy no", "evaluation", ABSENT),
        ("--save_strategy steps --save_steps 9", "checkpoint.every.steps", 9),
        ("--save_strategy no", "checkpoint", ABSENT),
        ("--splits train_sft,test_sft", "dataset.trainSplit", "train_sft"),
        ("--splits train_sft,test_sft", "dataset.evalSplit", "test_sft"),
        ("--splits train", "dataset.evalSplit", ABSENT),
        ("--chat_template_format none --dataset_text_field body", "dataset.textField", "body"),
        ("--chat_template_format none", "dataset.format", "text"),
        ("--packing", "dataset.packing", True),
        (
            "--dataset_streaming --max_steps 9 --save_strategy steps --save_steps 3 --splits train",
            "dataset.streaming",
            True,
        ),
        ("", "dataset.packing", False),
        ("--use_flash_attn False", "model.attention", "sdpa"),
        ("--lora_target_modules q_proj,v_proj", "lora.targets", ["q_proj", "v_proj"]),
        ("--lora_target_modules q_proj v_proj", "lora.targets", ["q_proj", "v_proj"]),
        ("--lora_target_modules q_proj, v_proj", "lora.targets", ["q_proj", "v_proj"]),
        ("--lora_target_modules=q_proj,v_proj", "lora.targets", ["q_proj", "v_proj"]),
        ("--lora_target_modules all-linear", "lora.targets", ["all-linear"]),
        ("--lora_r 4 --lora_r 8", "lora.rank", 8),
        ("--packing=False", "dataset.packing", False),
        ("--use_4bit_quantization --use_nested_quant", "quantization.doubleQuant", True),
        (
            "--use_4bit_quantization --fp16 --bnb_4bit_quant_storage_dtype float32",
            "quantization.storageDtype",
            "float32",
        ),
        ("--use_nested_quant True", "quantization", ABSENT),
        ("--use_4bit_quantization yes", "quantization.doubleQuant", False),
        ("--bnb_4bit_compute_dtype float16", "quantization", ABSENT),
        ("--max_steps 100 --num_train_epochs 3", "training.maxSteps", 100),
        ("--max_steps 100 --num_train_epochs 3", "training.epochs", ABSENT),
        ("--max_steps -1 --num_train_epochs 3", "training.epochs", 3),
        ("--num_train_epochs 0.5", "training.epochs", 0.5),
        ("--max_steps 100 --warmup_steps 10", "training.warmupRatio", 0.1),
        ("--warmup_steps 0.05", "training.warmupRatio", 0.05),
        ("--report_to wandb tensorboard", "training.reportTo", ["wandb", "tensorboard"]),
        ("--report_to none", "training.reportTo", ABSENT),
        ("--fp16 True", "training.precision", "float16"),
        ("--hub_model_id org/mine --push_to_hub", "output.pushToHub.repo", "org/mine"),
        ("--hub_model_id org/mine", "output.pushToHub", ABSENT),
        ("--push_to_hub True --hub_strategy end", "output.pushToHub.when", "end"),
        ("--output_dir ./runs/one/", "output.path", "runs/one"),
    ],
)
def test_a_flag_becomes_a_field(flags, path, value):
    assert at(spec(flags), path) == value


@pytest.mark.parametrize(
    ("keys", "path", "value"),
    [
        ("mixed_precision: 'no'", "training.precision", "float32"),
        ("mixed_precision: no", "training.precision", "float32"),
        ("mixed_precision: fp16", "training.precision", "float16"),
        ("num_machines: 2", "workers.gpusPerNode", 4),
        ("use_cpu: true", "workers.processesPerNode", 8),
        ("use_cpu: true", "workers.gpusPerNode", 0),
        ("fsdp_sharding_strategy: SHARD_GRAD_OP", "fsdp.reshardAfterForward", False),
        ("fsdp_sharding_strategy: 3", "fsdp.sharding", "none"),
        ("num_machines: 2\nfsdp_sharding_strategy: HYBRID_SHARD", "fsdp.sharding", "hybrid"),
        ("fsdp_version: 2\nfsdp_reshard_after_forward: false", "fsdp.reshardAfterForward", False),
        ("fsdp_sharding_strategy: 3\nfsdp_reshard_after_forward: false", "fsdp.reshardAfterForward", ABSENT),
        ("fsdp_activation_checkpointing: true", "fsdp.activationCheckpointing", True),
        ("fsdp_activation_checkpointing_offload: true", "fsdp.activationOffload", True),
        ("fsdp_version: 1", "fsdp.version", ABSENT),
        ("main_process_ip: 10.0.0.1", "workers.nodes", 1),
        ("num_machines: 4\nmachine_rank: 3\nmain_process_port: 29500", "workers.nodes", 4),
        ("commands: null\ncommand_file: null\nmegatron_lm_config: {}\ndynamo_backend: 'NO'", "workers.nodes", 1),
    ],
)
def test_a_key_becomes_a_field(keys, path, value):
    assert at(spec("", keys), path) == value


def test_without_mixed_precision_a_quantized_base_is_trained_in_its_storage_type():
    flags = " ".join(without(QLORA_FLAGS, "--bf16"))
    assert spec(flags, base=QLORA_FILE)["training"]["precision"] == "bfloat16"


@pytest.mark.parametrize(
    ("flags", "keys", "words"),
    [
        (
            "--lora_rank 8",
            "",
            "--lora_rank: is no flag of the guide's script that convert knows; did you mean --lora_r?",
        ),
        ("--lora_r eight", "", '--lora_r: must be a whole number; it is "eight"'),
        ("--learning_rate fast", "", '--learning_rate: must be a number; it is "fast"'),
        ("--bf16 maybe", "", '--bf16: must be True or False; it is "maybe"'),
        ("--seed", "", "--seed: needs a value: a whole number"),
        ("--seed 1 2", "", "--seed: takes one value, but it has 2: 1 2"),
        ("--max_length 5 --max_seq_len 6", "", "--max_length 5 means the same flag"),
        ("--bf16 True --fp16 True", "", "--fp16: excludes --bf16"),
        ("--use_peft_lora False", "", "there is always an adapter"),
        ("--use_8bit_quantization True", "", "an 8-bit base cannot be sharded"),
        ("--optim paged_adamw_8bit", "", "no paged or 8-bit one"),
        ("--bnb_4bit_quant_storage_dtype uint8", "", "--bnb_4bit_quant_storage_dtype: must be one of"),
        ("--eval_strategy steps", "", "give --eval_steps"),
        ("--warmup_steps 10", "", "only with --max_steps"),
        ("--splits train,validation", "", "validation is left over"),
        ("--lr_scheduler_type cosine_with_restarts", "", "--lr_scheduler_type: must be one of cosine,"),
        ("--learning_rate 1000", "", "--learning_rate: should be less than or equal to 10"),
        ("--report_to comet", "", '--report_to: unsupported value "comet"'),
        ("--output_dir /data/out", "", "--output_dir: "),
        ("--lora_target_modules all-linear,q_proj", "", '--lora_target_modules: "all-linear" stands alone'),
        ("--use_4bit_quantization --bnb_4bit_quant_type fp4", "", "--bnb_4bit_quant_type: must be nf4"),
        ("--learning_rate nan", "", "--learning_rate: "),
        ("--num_train_epochs inf", "", "--num_train_epochs: "),
        ("--eval_strategy epoch", "", "set dataset.evalSplit"),
        ("--hub_token", "", "--hub_token: needs a value"),
        ("", "num_processes: 7\nnum_machines: 2", "7 processes do not spread evenly over 2 machines"),
        ("", "distributed_type: DEEPSPEED", "distributed_type: must be FSDP; convert reads FSDP files"),
        ("", "num_machines: 0", "8 processes do not spread evenly over 0 machines"),
        ("", "mixed_precision: fp8", "mixed_precision: must be one of bf16, fp16, no"),
        ("", "deepspeed_config: {zero_stage: 3}", "deepspeed_config: must be left out or empty; sharding is FSDP's"),
        (
            "",
            "dynamo_config: {dynamo_backend: INDUCTOR}",
            "dynamo_config: must be left out or empty; give --torch_compile",
        ),
        ("", "fsdp_offload_param: true", "did you mean fsdp_offload_params?"),
        ("", "fsdp_offload_params: sometimes", 'fsdp_offload_params: must be True or False; it is "sometimes"'),
        ("", "fsdp_sharding_strategy: HYBRID_SHARD", "fsdp_sharding_strategy: "),
    ],
)
def test_what_cannot_be_honoured_is_an_error_in_the_words_of_the_flag(flags, keys, words):
    with pytest.raises(InvalidJob) as caught:
        spec(flags, keys)
    assert words in "\n".join(str(problem) for problem in caught.value.problems)


def test_a_key_in_its_section_and_beside_it_is_refused():
    text = LORA_FILE.read_text().replace("fsdp_config:", "fsdp_offload_params: true\nfsdp_config:")
    with pytest.raises(InvalidJob, match="fsdp_offload_params: stands below fsdp_config and beside it; remove one"):
        convert(NEEDED, text, Options())


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (Options(claim="A_B"), "--claim"),
        (Options(cache_claim="A_B"), "--cache-claim"),
        (Options(token_secret="A_B"), "--token-secret"),
        (Options(cpu="many"), "--cpu"),
        (Options(memory="lots"), "--memory"),
        (Options(name="A_B"), "--name"),
    ],
)
def test_an_option_that_does_not_fit_is_named(options, name):
    with pytest.raises(InvalidJob) as caught:
        convert(NEEDED, LORA_FILE.read_text(), options)
    assert [problem.field for problem in caught.value.problems] == [name]


def test_training_all_weights_is_what_a_missing_flag_means_and_that_is_said():
    assert any(
        "--use_peft_lora is not given" in choice for choice in convert(NEEDED, LORA_FILE.read_text(), Options()).choices
    )


def test_what_a_job_needs_is_asked_for_by_the_names_of_the_flags():
    with pytest.raises(InvalidJob) as caught:
        convert(["--lora_r", "eight"], LORA_FILE.read_text(), Options())
    names = [problem.field for problem in caught.value.problems]
    assert names == ["--lora_r", "--name", "--model_name_or_path", "--dataset_name"]


def test_all_problems_are_told_at_once():
    with pytest.raises(InvalidJob) as caught:
        spec("--lora_r eight --sed 1 --optim sgd", "fsdp_offload_params: sometimes")
    assert [problem.field for problem in caught.value.problems] == [
        "--lora_r",
        "--sed",
        "--optim",
        "fsdp_offload_params",
    ]


@pytest.mark.parametrize(("file", "flags"), [(LORA_FILE, LORA_FLAGS), (QLORA_FILE, QLORA_FLAGS)])
def test_the_guides_runs_convert_to_the_compatible_mode_too(file, flags):
    conversion = convert(flags, file.read_text(), Options(fsdp_version=1))
    assert conversion.manifest["spec"]["fsdp"]["version"] == 1
    assert not any("fsdp.version" in choice for choice in conversion.choices)


def test_the_file_alone_does_not_ask_for_the_compatible_mode_and_that_is_said():
    conversion = convert(LORA_FLAGS, _changed(LORA_FILE.read_text(), "fsdp_version: 1"), Options())
    assert "version" not in conversion.manifest["spec"]["fsdp"]
    assert any("fsdp.version is 2; the Accelerate file says 1" in choice for choice in conversion.choices)


def test_a_token_is_never_shown():
    conversion = convert([*LORA_FLAGS, "--hub_token", "hf_very_secret"], LORA_FILE.read_text(), Options())
    assert "hf_very_secret" not in repr(conversion)
    assert any(shown == "--hub_token (hidden)" for shown, _ in conversion.idle)


def test_what_is_not_given_is_told_with_the_jobs_default():
    choices = convert(NEEDED, LORA_FILE.read_text(), Options()).choices
    told = next(choice for choice in choices if choice.startswith("Not given"))
    assert "training.learningRate 0.0002" in told
    assert "lora.rank 16" in told


@pytest.mark.parametrize("text", ["- a\n- b\n", "", "a: [", "distributed_typ: FSDP\n", "hello", "\x00", "a: 1\na: 2\n"])
def test_a_file_that_is_no_accelerate_file_is_refused(text):
    with pytest.raises(InvalidJob):
        convert(NEEDED, text, Options())
