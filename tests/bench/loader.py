"""Loading random Llamas of 2 and 6 GB over 2 and 4 CPU ranks: memory, bits and time beside transformers' own loading.

A model is made once, in the cache folder of the user, and removed at the end.
"""

import gc
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.report import Figure
from tests.trainer.core.gang import run_ranks

CACHE = Path.home() / ".cache" / "peft-fsdp" / "bench-loader"
SHAPE = {"vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22,
         "num_attention_heads": 32, "num_key_value_heads": 4}  # fmt: skip
LARGER = SHAPE | {"hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 26,
                  "num_attention_heads": 24, "num_key_value_heads": 8}  # fmt: skip
"""In 16 bit alone: shows what part of the time does not grow with the weights."""
MIB = 2**20
ALLOWANCE_MIB = 150.0
TIME_BAR = 1.2
SAMPLE_SECONDS = 0.004
REPEATS = 3
"""Timings of each kind; the best counts, because whatever else the machine does only ever adds to one."""
KINDS = {"16-bit": None, "NF4": False, "NF4 nested": True}
"""Base weights, and whether their scales are quantized too."""


@dataclass(frozen=True)
class Loaded:
    """What one rank measured."""

    seconds: float
    peak_mib: float
    """Anonymous memory at its highest, over what the process had before."""
    held_mib: float
    """Parameters and quantization state that stay."""
    layer_mib: float
    """One decoder layer in 16 bit."""
    digests: dict[str, str]
    """SHA-256 of every whole parameter; on rank 0 alone."""


def measure() -> list[Figure]:
    """Peak memory, equal bits and time of each kind of base on 2 and 4 ranks."""
    return [*_measure_base(CACHE, SHAPE, KINDS), *_measure_base(CACHE, LARGER, {"16-bit": None})]


def _measure_base(folder: Path, shape: dict[str, int], kinds: dict[str, bool | None]) -> list[Figure]:
    figures = []
    try:
        model = _make_model(folder / "model", shape)
        size = f"{_stored_bytes(model) / 1e9:.1f} GB"
        for kind, nested in kinds.items():
            theirs = [_reference(folder, model, nested, first=number == 0) for number in range(REPEATS)]
            for world_size in (2, 4):
                ours = [_load(folder, world_size, model, nested, first=number == 0) for number in range(REPEATS)]
                figures += _figures(f"{kind}, {size}, {world_size} ranks", theirs, ours)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return figures


def _reference(folder: Path, model: Path, nested: bool | None, first: bool) -> dict[str, Any]:
    ending = run_ranks(reference_rank, 1, folder / "reference", str(model), nested, first)[0]
    value: dict[str, Any] = ending.value
    return value


def _load(folder: Path, world_size: int, model: Path, nested: bool | None, first: bool) -> list[Loaded]:
    endings = run_ranks(load_rank, world_size, folder / f"{world_size}", str(model), nested, first)
    return [Loaded(**ending.value) for ending in endings]


def over_bar(loaded: Loaded) -> float:
    """Peak memory beyond shard and two layers, in MiB; the bar is ALLOWANCE_MIB."""
    return loaded.peak_mib - loaded.held_mib - 2 * loaded.layer_mib


def load_rank(model: str, nested: bool | None, digest: bool = True) -> dict[str, Any]:
    """Load with the trainer's loader as this rank. Memory is watched together with the digests: the thread that looks
    at it takes time from the load, which is timed without it."""
    import torch

    from peft_fsdp_api.spec import FsdpSpec, LoraSpec, ModelSpec, QuantizationSpec
    from peft_fsdp_trainer.distributed import join_ranks
    from peft_fsdp_trainer.loading import Loader
    from peft_fsdp_trainer.loss import LanguageModelLoss
    from peft_fsdp_trainer.model import build_skeleton, read_model_config
    from peft_fsdp_trainer.precision import Precision
    from peft_fsdp_trainer.sharding import plan_sharding
    from peft_fsdp_trainer.weights import find_weights

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // int(os.environ["WORLD_SIZE"])))
    _warm_memory(_stored_bytes(Path(model)) // int(os.environ["WORLD_SIZE"]))
    with _watched() if digest else nullcontext([0.0]) as watched:
        ranks = join_ranks("cpu")
        ranks.barrier()
        start = time.perf_counter()
        spec, folder = ModelSpec(source=model), Path(model)
        config = read_model_config(folder, spec)
        skeleton = build_skeleton(config, spec, LoraSpec(rank=8), torch.bfloat16, "sdpa")
        quantization = None if nested is None else QuantizationSpec(scheme="nf4", double_quant=nested)
        plan = plan_sharding(FsdpSpec(), Precision(torch.bfloat16), ranks, compile_layers=False)
        loader = Loader(skeleton, find_weights(folder), ranks.device, quantization, 7)
        loader.load(plan.shard_layer, lambda done, total: None)
        root = LanguageModelLoss(skeleton)
        plan.shard_root(skeleton, root)
        ranks.barrier()
        seconds = time.perf_counter() - start
    digests = _digests(skeleton.peft, keep=ranks.is_first) if digest else {}
    return asdict(Loaded(seconds, watched[0], _held_mib(skeleton.peft), _layer_mib(config), digests))


def reference_rank(model: str, nested: bool | None, digest: bool = True) -> dict[str, Any]:
    """Load with from_pretrained in one process, on all cores, and bring every byte of it into memory."""
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    torch.set_num_threads(os.cpu_count() or 1)
    named: dict[str, Any] = {}
    if nested is not None:
        named["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=nested,
            bnb_4bit_compute_dtype=torch.bfloat16, bnb_4bit_quant_storage=torch.bfloat16)  # fmt: skip
    _warm_memory(_stored_bytes(Path(model)))
    start = time.perf_counter()
    causal = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16, **named)
    mapped = time.perf_counter() - start
    # On a CPU from_pretrained only maps the files: the bytes are read when they are touched.
    for parameter in causal.parameters():
        parameter.data = parameter.data.clone()
    seconds = time.perf_counter() - start
    return {"mapped": mapped, "seconds": seconds, "digests": _digests(causal, keep=True) if digest else {}}


def _figures(name: str, references: list[dict[str, Any]], runs: list[list[Loaded]]) -> list[Figure]:
    worst = max((rank for ranks in runs for rank in ranks), key=over_bar)
    seconds = min(max(rank.seconds for rank in ranks) for ranks in runs)
    reference = min(references, key=lambda one: one["seconds"])
    wanted: dict[str, str] = references[0]["digests"]
    digests = runs[0][0].digests
    different = sum(digests.get(key) != value for key, value in wanted.items())
    allowed = worst.held_mib + 2 * worst.layer_mib + ALLOWANCE_MIB
    theirs = f"from_pretrained {reference['seconds']:.2f} s, of which {reference['mapped']:.2f} s until it returns"
    return [
        Figure(f"{name}: peak anonymous memory over an idle process", worst.peak_mib, "MiB", round(allowed),
               f"shard {worst.held_mib:.0f}, layer {worst.layer_mib:.0f} MiB"),
        Figure(f"{name}: parameters that differ from from_pretrained in a bit", different, "", 0,
               f"of {len(wanted)}"),
        Figure(f"{name}: load time over from_pretrained's", seconds / reference["seconds"], "x", TIME_BAR,
               f"{seconds:.2f} s; {theirs}"),
    ]  # fmt: skip


def _stored_bytes(model: Path) -> int:
    return sum(file.stat().st_size for file in model.glob("*.safetensors"))


def _warm_memory(size: int) -> None:
    """Use as much memory as the load will, and give it back. The host of a virtual machine takes away what is free for
    seconds; getting it anew costs up to ten times the copying, and hits whoever is measured after a pause."""
    import torch

    torch.ones(size, dtype=torch.uint8)


@contextmanager
def _watched() -> Iterator[list[float]]:
    """The highest anonymous memory of this process while the block runs, in MiB over what it had before."""
    gc.collect()
    peak, done = [0.0], threading.Event()
    before = _anonymous_mib()

    def sample() -> None:
        while not done.wait(SAMPLE_SECONDS):
            peak[0] = max(peak[0], _anonymous_mib() - before)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
        peak[0] = max(peak[0], _anonymous_mib() - before)


def _anonymous_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def _digests(model: Any, keep: bool) -> dict[str, str]:
    """A digest of every whole parameter of the base; every rank must call it."""
    import torch
    from torch.distributed.tensor import DTensor

    from peft_fsdp_trainer.model import checkpoint_name

    found = {}
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            continue
        value = parameter.detach()
        whole = value.full_tensor() if isinstance(value, DTensor) else value
        if keep:
            found[checkpoint_name(name)] = hashlib.sha256(whole.view(torch.uint8).numpy()).hexdigest()
    return found


def _held_mib(model: Any) -> float:
    from peft_fsdp_trainer.sharding import held_bytes

    states = [state for module in model.modules() if (state := getattr(module, "quant_state", None)) is not None]
    tensors = [tensor for state in states for tensor in (state.absmax, state.state2 and state.state2.absmax)]
    return (held_bytes(model) + sum(tensor.nbytes for tensor in tensors if tensor is not None)) / MIB


def _layer_mib(config: Any) -> float:
    """Bytes of a Llama decoder layer in 16 bit."""
    hidden, kept = config.hidden_size, config.num_key_value_heads / config.num_attention_heads
    attention = hidden * hidden * (2 + 2 * kept)
    return float(2 * (attention + 3 * hidden * config.intermediate_size + 2 * hidden)) / MIB


def _make_model(folder: Path, shape: dict[str, int]) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    with torch.device("meta"):
        causal = LlamaForCausalLM(LlamaConfig(**shape)).to(torch.bfloat16)
    causal.to_empty(device="cpu")
    for parameter in causal.parameters():
        parameter.data.normal_(std=0.02)
    causal.save_pretrained(folder, max_shard_size="500MB")
    return folder
