"""Trains the byte-level BPE tokenizer of the demo's base model. Called by `base_model`."""

from __future__ import annotations

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from peft_fsdp_trainer.data.templates import CHATML

VOCABULARY = 2048
BOS, EOS, PAD = "<s>", "</s>", "<pad>"
CHAT_TOKENS = ["<|im_start|>", "<|im_end|>"]


def train_tokenizer(documents: list[str]) -> PreTrainedTokenizerFast:
    """Like Llama's, it puts BOS before a text and no EOS after it."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[BOS, EOS, PAD, *CHAT_TOKENS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(documents, trainer)
    bpe.post_processor = processors.TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, bpe.token_to_id(BOS))])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        additional_special_tokens=CHAT_TOKENS,
        chat_template=CHATML,
        model_max_length=2048,
    )
