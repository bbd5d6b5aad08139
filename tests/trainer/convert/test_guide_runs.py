"""The guide's two runs become the two examples, and nothing that they say gets lost."""

import subprocess
import sys

import pytest

from dev.chart.helm import REPOSITORY
from peft_fsdp_api.job import parse_job
from peft_fsdp_api.manifest import load_documents
from peft_fsdp_api.reasons import Reason, exit_code
from peft_fsdp_trainer.cli import main
from peft_fsdp_trainer.convert.accelerate_keys import SECTION
from peft_fsdp_trainer.convert.conversion import convert
from peft_fsdp_trainer.convert.manifest_text import manifest_text
from peft_fsdp_trainer.convert.options import Options
from tests.trainer.convert.runs import LORA_FILE, LORA_FLAGS, QLORA_FILE, QLORA_FLAGS

RUNS = [
    (LORA_FILE, LORA_FLAGS, "llama-70b-lora-8xh100.yaml"),
    (QLORA_FILE, QLORA_FLAGS, "llama-70b-qlora-2x24gb.yaml"),
]


def text_of(file, flags, options=None):
    return manifest_text(convert(flags, file.read_text(), options or Options()), file.name)


@pytest.mark.parametrize(("file", "flags", "example"), RUNS)
def test_a_run_of_the_guide_is_its_example(file, flags, example):
    (wanted,) = load_documents((REPOSITORY / "manifests" / "examples" / example).read_text())
    (made,) = load_documents(text_of(file, flags, Options(cache_claim="hub-cache")))
    assert made == wanted
    assert parse_job(made) == parse_job(wanted)


@pytest.mark.parametrize(("file", "flags", "_"), RUNS)
def test_the_text_names_every_flag_and_key(file, flags, _):
    text = text_of(file, flags)
    keys = load_documents(file.read_text())[0]
    names = {word for word in flags if word.startswith("--")} | set(keys) - {SECTION} | set(keys[SECTION])
    assert [name for name in names if name not in text] == []


def test_lost_indentation_is_accepted_and_said():
    flat = LORA_FILE.read_text().replace("  fsdp_", "fsdp_")
    conversion = convert(LORA_FLAGS, flat, Options())
    assert conversion.manifest == convert(LORA_FLAGS, LORA_FILE.read_text(), Options()).manifest
    assert any("not indented below fsdp_config" in choice for choice in conversion.choices)


def test_options_replace_what_is_chosen():
    options = Options(name="mine", claim="disk", token_secret="mine-token", cpu="500m", memory="1Ti")
    (job,) = load_documents(text_of(LORA_FILE, LORA_FLAGS, options))
    assert job["metadata"]["name"] == "mine"
    assert job["spec"]["output"]["claim"] == "disk"
    assert job["spec"]["hub"]["tokenSecret"] == "mine-token"
    assert job["spec"]["workers"]["resources"]["requests"] == {"cpu": "500m", "memory": "1Ti"}


def test_without_a_cache_it_is_said_that_each_attempt_downloads_anew():
    text = text_of(LORA_FILE, LORA_FLAGS)
    assert "cache" not in load_documents(text)[0]["spec"]
    assert "There is no cache" in text
    assert "There is no cache" not in text_of(LORA_FILE, LORA_FLAGS, Options(cache_claim="hub-cache"))


def test_the_command_writes_a_file_and_needs_no_torch(tmp_path):
    out = tmp_path / "job.yaml"
    program = "import sys; from peft_fsdp_trainer.cli import main; code = main(sys.argv[1:]); "
    program += "sys.exit(99 if 'torch' in sys.modules else code)"
    command = ["convert", "--accelerate-config", str(LORA_FILE), "-o", str(out)]
    command += ["--cache-claim", "disk", "--", "train.py", *LORA_FLAGS]
    result = subprocess.run([sys.executable, "-c", program, *command], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "")
    assert "24 flags and keys have no meaning" in result.stderr
    job = parse_job(load_documents(out.read_text())[0])
    assert (job.name, job.spec.cache.claim) == ("llama-sft-lora-fsdp", "disk")


@pytest.mark.parametrize(
    ("file", "out", "words"),
    [
        (str(LORA_FILE.parent), "job.yaml", "guide cannot be read"),
        (sys.executable, "job.yaml", "cannot be read"),
        (str(LORA_FILE), "no/such/folder/job.yaml", "job.yaml cannot be written"),
    ],
    ids=["folder", "program", "output"],
)
def test_files_that_cannot_be_used_are_named(tmp_path, caplog, file, out, words):
    command = ["convert", "--accelerate-config", file, "-o", str(tmp_path / out), "--", *LORA_FLAGS]
    assert main(command) == exit_code(Reason.CONFIG_INVALID)
    assert words in caplog.text
