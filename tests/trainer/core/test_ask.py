"""`ask`: whose tokenizer it takes, and what it says where there is none."""

import shutil

import pytest
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from peft_fsdp_trainer.ask import ask

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


@pytest.fixture
def adapter(base_model, tmp_path):
    """An adapter as a checkpoint has it: no tokenizer beside it."""
    model = AutoModelForCausalLM.from_pretrained(base_model)
    get_peft_model(model, LoraConfig(target_modules=["q_proj"])).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_the_adapter_of_a_checkpoint_is_asked_with_the_tokenizer_of_its_base(base_model, adapter):
    before, after = ask(str(base_model), adapter, "Who?", max_new_tokens=3)
    assert before == after  # a fresh adapter changes nothing


def test_without_any_chat_template_it_says_whom_to_ask(base_model, adapter, tmp_path):
    bare = shutil.copytree(base_model, tmp_path / "bare")
    (bare / "chat_template.jinja").unlink()
    assert AutoTokenizer.from_pretrained(bare).chat_template is None
    with pytest.raises(FileNotFoundError, match="ask the finished adapter"):
        ask(str(bare), adapter, "Who?")
