"""The end of a run: the adapter, complete and in its place, or not at all. Called by `train`."""

from dataclasses import dataclass
from typing import Any

import torch

from peft_fsdp_api.progress import Stage
from peft_fsdp_api.trainer_config import TrainerConfig

from .adapter import adapter_status, gather_adapter, write_adapter
from .disk_space import naming_full_disk
from .distributed import Ranks
from .log import log
from .model import Skeleton
from .model_card import write_model_card
from .model_source import ModelFolder
from .output import Output
from .report import Reporter
from .run_facts import RunFacts
from .trained import TrainedTensor


@dataclass(frozen=True)
class Export:
    """What the adapter's folder is made from."""

    skeleton: Skeleton
    trained: list[TrainedTensor]
    tokenizer: Any
    chat_template: str | None
    """What the tokenizer gets for its own; None leaves it as the base has it."""
    base: ModelFolder
    config: TrainerConfig
    output: Output
    facts: RunFacts

    def write(self, tensors: dict[str, torch.Tensor]) -> None:
        """Write the folder and move it to its place."""
        place = self.output.adapter
        with naming_full_disk(self.output.volume, "the adapter"), self.output.complete_folder(place) as folder:
            write_adapter(folder, tensors, self.skeleton, self.base)
            if self.chat_template is not None:
                self.tokenizer.chat_template = self.chat_template
            self.tokenizer.save_pretrained(folder)
            write_model_card(folder, self.config, self.base, self.facts)


def export_adapter(export: Export, ranks: Ranks, reporter: Reporter) -> None:
    """Gather the adapter and write it with its tokenizer and model card. Every rank must call it."""
    reporter.stage(Stage.EXPORT)
    tensors = gather_adapter(export.trained, keep=ranks.is_first)
    ranks.decide(lambda: export.write(tensors))
    if ranks.is_first:
        report_adapter(export.output, reporter)
        log(ranks, f"adapter in {export.output.in_volume(export.output.adapter)}")


def report_adapter(output: Output, reporter: Reporter) -> None:
    """Tell the launcher what lies in the output."""
    reporter.adapter(adapter_status(output))
