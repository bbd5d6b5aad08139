"""A Hub base is downloaded by one rank of a node, and every rank finds it: real ranks, the real client, loopback."""

import os
import sys
from pathlib import Path
from subprocess import PIPE, CompletedProcess, Popen

import pytest

from tests.ports import free_port
from tests.trainer.core.model_hub import COMMIT, REPOSITORY, model_hub
from tests.trainer.small_disk import small_disk

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


def _fetch(address: str, source: str, place: Path, other: Path | None = None) -> list[CompletedProcess[str]]:
    """Two ranks and what they printed: of one node, or of two where the other has a place of its own."""
    common = {**os.environ, "HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
              "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}  # fmt: skip
    ranks = []
    for rank, local_rank, own in [(0, 0, place), (1, 0, other) if other else (1, 1, place)]:
        placed = {
            "RANK": rank,
            "LOCAL_RANK": local_rank,
            "LOCAL_WORLD_SIZE": 1 if other else 2,
            "HF_HOME": own / "home",
        }
        command = [sys.executable, "-W", "ignore", "-c", FETCH, str(own), source]
        environment = common | {name: str(value) for name, value in placed.items()}
        ranks.append(Popen(command, env=environment, text=True, stdout=PIPE, stderr=PIPE))
    ended = [(rank, *rank.communicate(timeout=240)) for rank in ranks]
    return [CompletedProcess(rank.args, rank.returncode, out, err) for rank, out, err in ended]


def test_each_weight_file_is_fetched_once_for_all_ranks_of_a_node(base_model, tmp_path):
    weights = {path.name for path in base_model.glob("*.safetensors")}
    with model_hub(base_model) as hub:
        ranks = _fetch(hub.address, REPOSITORY, tmp_path)
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
        ranks = _fetch(hub.address, REPOSITORY, tmp_path)
    said = [rank.stderr for rank in ranks]
    assert any("ModelNotAvailable: model me/base" in text and words in text for text in said), said


def test_a_hub_that_does_not_answer_may_answer_the_next_attempt(tmp_path):
    address = f"http://127.0.0.1:{free_port()}"
    said = [rank.stderr for rank in _fetch(address, REPOSITORY, tmp_path)]
    assert any("ApplicationError: the Hub cannot be reached for model me/base" in text for text in said), said


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_disk_without_room_for_the_model_is_named_by_every_rank(base_model, tmp_path, nodes):
    with small_disk(tmp_path / "disk", "64k") as disk, model_hub(base_model) as hub:
        places = {1: (disk, None), 2: (tmp_path, disk)}[nodes]
        said = [rank.stderr for rank in _fetch(hub.address, REPOSITORY, *places)]
    for text in said:
        assert f"DiskFull: the volume of {disk}/cache has no room for model me/base" in text


def test_a_model_that_is_not_there_is_told_by_every_rank(base_model, tmp_path):
    with model_hub(base_model) as hub:
        ranks = _fetch(hub.address, "me/other", tmp_path)
    for rank in ranks:
        assert rank.returncode == 1
        assert rank.stderr.strip().endswith("model me/other does not exist on the Hub, or the token may not see it")
