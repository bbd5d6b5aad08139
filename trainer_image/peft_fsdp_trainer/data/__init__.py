"""From `spec.dataset` to batches of CPU tensors. Called by the training loop only.

    data = prepare(spec.dataset, tokenizer, attention="sdpa", cache_dir=folder, report=report)
    batches = Batches(data.train, batch_size=8, rank=rank, world_size=world, seed=100, epoch=0)
    for batch in batches:                    # len(batches) of them, the same number on every rank
        output = model(**batch.inputs, use_cache=False)

Every rank calls `prepare`; one per cache folder does the work, the others wait and map the same files.
Everything that is wrong with the data is raised as `errors.DatasetInvalid`, before the first step.
"""

from .batches import Batch, Batches
from .cursor import Cursor, take_over
from .prefetch import Prefetch
from .prepare import prepare
from .prepared import DataFacts, PreparedData, SplitFacts
from .rows import Rows
from .streaming import StreamedRows, Stretch

__all__ = [
    "Batch", "Batches", "Cursor", "DataFacts", "Prefetch", "PreparedData", "Rows", "SplitFacts", "StreamedRows",
    "Stretch", "prepare", "take_over",
]  # fmt: skip
