"""Which tensors of the files a parameter of the model is made of. Called by `loading`.

Nearly always it is the one of the same name. Some models have other names, or other pieces, in their files than in
memory (the experts of a mixture, stored one by one and fused in memory): transformers declares how they are converted.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, dot_natural_key, rename_source_key

from .weights import WeightFiles


@dataclass
class Sources:
    """The stored tensors that make up one parameter."""

    parts: list[tuple[str, str | None]] = field(default_factory=list)
    """Names in the files, each with the pattern of the converter that takes it."""
    converter: WeightConverter | None = None

    def read(self, name: str, weights: WeightFiles, config: Any) -> torch.Tensor:
        """The parameter `name`, converted as transformers converts it."""
        if self.converter is None:
            return weights.read(self.parts[0][0])
        converter = copy.deepcopy(self.converter)
        for stored, pattern in sorted(self.parts, key=lambda part: dot_natural_key(part[0])):
            converter.add_tensor(name, stored, pattern, partial(weights.read, stored))
        made: dict[str, Any] = converter.convert(name, config=config)
        value = made[name]
        result: torch.Tensor = value[0] if isinstance(value, list) else value
        return result


def find_sources(causal: Any, stored_names: Iterable[str]) -> dict[str, Sources]:
    """For each parameter that the files have: what it is made of."""
    transforms = get_model_conversion_mapping(causal)
    renamings = [transform for transform in transforms if isinstance(transform, WeightRenaming)]
    converters = [transform for transform in transforms if isinstance(transform, WeightConverter)]
    by_pattern = {pattern: converter for converter in converters for pattern in converter.source_patterns}
    found: dict[str, Sources] = {}
    for stored in stored_names:
        name, pattern = rename_source_key(stored, renamings, converters)
        sources = found.setdefault(name, Sources())
        sources.parts.append((stored, pattern))
        if pattern is not None:
            sources.converter = by_pattern[pattern]
    return found
