"""A dataset that is streamed from a Hub: the real client against one on loopback, in a process of its own."""

import json
import os
import subprocess
import sys

import pytest

from tests.trainer.data.dataset_hub import COMMIT, DATASET, dataset_hub

pytestmark = pytest.mark.slow

READ = """
import sys
from itertools import islice
from peft_fsdp_api.spec import DatasetSpec
from peft_fsdp_trainer.data.sources import open_stream
from peft_fsdp_trainer.errors import TrainerError
spec = DatasetSpec(source=sys.argv[1], streaming=True)
try:
    stream = open_stream(spec, "train")
    for row in islice(stream.rows(), int(sys.argv[2])):
        print(*row())
except TrainerError as error:
    sys.exit(f"{error.reason}: {error.message}\\n{error.hint}")
print(stream.fingerprint)
"""
ROWS = [{"text": f"row {number}"} for number in range(20)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        text = "".join(json.dumps(row) + "\n" for row in ROWS)
        (tmp_path / "data" / f"{split}.jsonl").write_text(text)
    return tmp_path / "data"


def read(tmp_path, hub, count, dataset=DATASET):
    environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0",
                   "HF_HUB_DISABLE_XET": "1"}  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-c", READ, dataset, str(count)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)


def test_rows_come_over_the_network_and_nothing_is_stored(folder, tmp_path):
    with dataset_hub(folder) as hub:
        ended = read(tmp_path, hub, 3)
    assert ended.stdout.splitlines()[:3] == [f"split train row {n + 1} {ROWS[n]}" for n in range(3)], ended.stderr
    assert not list((tmp_path / "home").rglob("*.arrow"))
    assert not any("test.jsonl" in path and "resolve" in path for path in hub.asked), "only the split is read"
    assert any(COMMIT in path for path in hub.asked), "at the commit that was found"


@pytest.mark.parametrize(
    ("refusal", "words"),
    [((403, "GatedRepo"), "gated"), ((403, ""), "refuses the token"), ((404, "RepoNotFound"), "does not exist")],
)
def test_a_dataset_that_may_not_be_read_is_named(folder, tmp_path, refusal, words):
    with dataset_hub(folder, refusal) as hub:
        ended = read(tmp_path, hub, 3)
    assert f"DatasetInvalid: dataset {DATASET}" in ended.stderr
    assert words in ended.stderr
    assert "hub.tokenSecret" in ended.stderr


def test_a_hub_that_is_down_may_be_up_for_the_next_attempt(folder, tmp_path):
    with dataset_hub(folder, (503, "")) as hub:
        ended = read(tmp_path, hub, 3)
    assert f"ApplicationError: the Hub did not deliver dataset {DATASET}: Server error '503" in ended.stderr
    assert "hub.endpoint" in ended.stderr
