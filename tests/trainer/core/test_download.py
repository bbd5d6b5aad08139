"""A Hub base is downloaded by one rank of a node, and every rank finds it: real ranks, the real client, loopback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.trainer.core.model_hub import COMMIT, REPOSITORY, model_hub

FETCH = """
import os
import sys
from pathlib import Path
from peft_fsdp_api.spec import ModelSpec
from peft_fsdp_trainer.distributed import join_ranks
from peft_fsdp_trainer.errors import TrainerError
from peft_fsdp_trainer.model_source import fetch_model
from peft_fsdp_trainer.report import Reporter
ranks = join_ranks("cpu")
place = Path(sys.argv[1])
try:
    model = fetch_model(ModelSpec(source=sys.argv[2]), place / "cache", ranks, Reporter(ranks.rank, place))
except TrainerError as error:
    print(f"{error.reason}: {error.message}", file=sys.stderr, flush=True)
    os._exit(1)  # as rank.py does: threads of a communicator whose peer has gone may abort an ordinary exit
print(model.revision, *sorted(path.name for path in model.folder.iterdir()))
"""

pytestmark = pytest.mark.slow


def _fetch(place: Path, address: str, source: str) -> list[subprocess.CompletedProcess[str]]:
    """Two ranks of one node; what they printed."""
    common = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(place / "home"), "HF_HUB_OFFLINE": "0",
              "HF_HUB_DISABLE_XET": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2",
              "LOCAL_WORLD_SIZE": "2"}  # fmt: skip
    command = [sys.executable, "-W", "ignore", "-c", FETCH, str(place), source]
    ranks = [
        subprocess.Popen(command, env={**common, "RANK": rank, "LOCAL_RANK": rank}, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for rank in ("0", "1")
    ]  # fmt: skip
    ended = [(rank, *rank.communicate(timeout=240)) for rank in ranks]
    return [subprocess.CompletedProcess(command, rank.returncode, out, err) for rank, out, err in ended]


def test_each_weight_file_is_fetched_once_for_all_ranks_of_a_node(base_model, tmp_path):
    weights = {path.name for path in base_model.glob("*.safetensors")}
    with model_hub(base_model) as hub:
        ranks = _fetch(tmp_path, hub.address, REPOSITORY)
    assert {rank.returncode for rank in ranks} == {0}, [rank.stderr[-1000:] for rank in ranks]
    assert {name: hub.fetched[name] for name in weights} == dict.fromkeys(weights, 1)
    for rank in ranks:
        assert rank.stdout.split()[0] == COMMIT
        assert weights <= set(rank.stdout.split())


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ((403, "GatedRepo"), "is gated and the token has no access to it"),
        ((401, ""), "the Hub refuses the token or asks for one"),
    ],
)
def test_missing_access_is_no_error_of_the_program(base_model, tmp_path, refusal, words):
    with model_hub(base_model, refusal) as hub:
        ranks = _fetch(tmp_path, hub.address, REPOSITORY)
    said = [rank.stderr for rank in ranks]
    assert any("ModelNotAvailable: model me/base" in text and words in text for text in said), said


def test_a_hub_that_does_not_answer_may_answer_the_next_attempt(tmp_path):
    address = f"http://127.0.0.1:{free_port()}"
    said = [rank.stderr for rank in _fetch(tmp_path, address, REPOSITORY)]
    assert any("ApplicationError: the Hub cannot be reached for model me/base" in text for text in said), said


def test_a_model_that_is_not_there_is_told_by_every_rank(base_model, tmp_path):
    with model_hub(base_model) as hub:
        ranks = _fetch(tmp_path, hub.address, "me/other")
    for rank in ranks:
        assert rank.returncode == 1
        assert rank.stderr.strip().endswith("model me/other does not exist on the Hub, or the token may not see it")
