"""A whole run, top to bottom: join, claim the output, data, model, train, export, push. Called by `rank`."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from peft_fsdp_api.progress import Stage
from peft_fsdp_api.trainer_config import TrainerConfig

from .attention import Means, choose_attention
from .checkpoint import Checkpoints
from .checkpoint_origin import Origin
from .data import Cursor, PreparedData, Rows, prepare
from .disk_space import naming_full_disk
from .distributed import Ranks, join_ranks
from .errors import DatasetInvalid
from .export import Export, export_adapter, report_adapter
from .feed import open_feed
from .hub import HubRepository
from .isolation import check_isolation
from .loading import Loader
from .log import log, start_log
from .loop import Loop
from .loss import LanguageModelLoss
from .merge import write_merged_model
from .mfu import flops_per_token
from .model import Skeleton, build_skeleton, read_model_config
from .model_source import ModelFolder, fetch_model, read_tokenizer
from .optim import LossScale, make_optimizer
from .output import Output, open_output
from .precision import choose_precision
from .report import Reporter
from .run_facts import RunFacts, describe_execution
from .schedule import Position
from .self_check import SelfCheck
from .sharding import Sharding, plan_sharding
from .stateful import keep_rows_apart
from .step import Stepper
from .stop import StopRequest
from .trackers import start_trackers
from .trainee import Trainee
from .weights import find_weights
from .write_access import check_writable, naming_unwritable


def train(config: TrainerConfig, reporter: Reporter, stop: StopRequest) -> None:
    """Run the job as this rank. Returns when the adapter is in the output; raises errors.TrainerError otherwise."""
    start_log()
    reporter.stage(Stage.RENDEZVOUS)
    ranks = join_ranks(config.device)
    output = open_output(config)
    ranks.decide(output.claim)
    if not ranks.decide(output.adapter.exists):
        _train_adapter(config, output, ranks, reporter, stop)
    elif ranks.is_first:
        log(ranks, f"{output.in_volume(output.adapter)} is complete already; nothing is trained")
        report_adapter(output, reporter)
    if config.merge:
        stop.heed()
        _forget_the_training(ranks)
        write_merged_model(config, output, ranks, reporter)
    if config.push_to_hub is not None:
        stop.heed()
        reporter.stage(Stage.PUSH)
        repository = HubRepository(config.push_to_hub)

        def push() -> str:
            output.confirm()
            return repository.push(output.adapter, f"Adapter of {config.job.name}")

        log(ranks, f"the adapter is on the Hub in {ranks.decide(push)}")
    dist.destroy_process_group()


def _train_adapter(config: TrainerConfig, output: Output, ranks: Ranks, reporter: Reporter, stop: StopRequest) -> None:
    if config.push_to_hub is not None:
        ranks.decide(HubRepository(config.push_to_hub).prepare)
    cache = Path(config.paths.cache)
    ranks.decide(lambda: check_writable(cache, "cache.claim"))
    with naming_unwritable(cache, "cache.claim"):
        base = fetch_model(config.model, cache, ranks, reporter)
    tokenizer = read_tokenizer(base, config.model)
    model_config = read_model_config(base.folder, config.model, config.quantization)
    attention = choose_attention(config.model, Means.of(config, model_config, ranks.device))
    attention = keep_rows_apart(config, model_config, attention)
    precision = choose_precision(config)
    torch.manual_seed(config.training.seed + ranks.rank)
    skeleton = build_skeleton(model_config, config.model, config.lora, precision.compute, attention.name)
    check_isolation(skeleton, config.dataset.packing, attention.name)
    flops = flops_per_token(skeleton)
    # What the model does not take is said before its data are tokenized for hours.
    data = _prepare_data(config, tokenizer, attention.name, ranks, reporter)
    sharding = plan_sharding(config.fsdp, precision, ranks, config.training.compile)
    check = SelfCheck(sharding.shard_layer, sharding.gathered, ranks)
    model = _load(config, skeleton, base, sharding, check, ranks, reporter)
    trained = sharding.trained_tensors(skeleton)
    execution = describe_execution(config, attention, precision, sharding)
    facts = RunFacts.of(skeleton, trained, data.facts, execution, ranks, check.words, flops)
    log(ranks, facts.line)
    reporter.execution(execution)
    optimizer = make_optimizer(trained, config.training)
    stepper = Stepper(model, sharding, trained, optimizer, precision, ranks, config.training.max_grad_norm)
    trainee = Trainee(skeleton, trained, optimizer, Position(), LossScale(), _start_of_stream(data, ranks))
    checkpoints = Checkpoints(output, base, ranks, reporter, config, Origin.of(config, data))
    checkpoints.resume(trainee)
    feed = open_feed(data, trainee, config.training, ranks, reporter)
    feed.begin()
    trackers = start_trackers(config, output, ranks)
    # The model is as lasting as the libraries: no collection in a step, which all ranks would wait for, looks at it.
    gc.collect()
    gc.freeze()
    with stop.at_step_boundaries():
        Loop(config, data, feed, ranks, stepper, trainee, checkpoints, trackers, facts, reporter, stop).run()
        trackers.close()
        export = Export(skeleton, trained, tokenizer, data.chat_template, base, config, output, facts)
        export_adapter(export, ranks, reporter)
    sharding.forget(model)


def _forget_the_training(ranks: Ranks) -> None:
    """Free model and optimizer: nothing points to them any more but they to each other, and they were frozen."""
    gc.unfreeze()
    gc.collect()
    if ranks.device.type == "cuda":
        torch.cuda.empty_cache()


def _prepare_data(
    config: TrainerConfig, tokenizer: Any, attention: str, ranks: Ranks, reporter: Reporter
) -> PreparedData:
    """The rows, the same ones on every rank. Raises DatasetInvalid."""
    reporter.stage(Stage.TOKENIZE)
    cache = Path(config.paths.cache)
    with naming_full_disk(cache, "the tokenized data"), naming_unwritable(cache, "cache.claim"):
        data = prepare(
            config.dataset,
            tokenizer,
            attention=attention,
            cache_dir=cache,
            report=lambda _stage, done, total: reporter.advance(done, total or None),
        )
    if ranks.decide(lambda: data.fingerprint) != data.fingerprint:
        raise DatasetInvalid(
            f"{config.dataset.source} holds other rows on rank {ranks.rank} than on rank 0",
            hint="Give a revision, or mount the same volume on every node.",
        )
    for warning in data.facts.warnings:
        log(ranks, warning)
    return data


def _start_of_stream(data: PreparedData, ranks: Ranks) -> Cursor | None:
    """The place of a rank that has seen nothing; None where the rows are prepared."""
    if isinstance(data.train, Rows):
        return None
    return Cursor(data.train.stream.fingerprint, ranks.world_size)


def _load(
    config: TrainerConfig,
    skeleton: Skeleton,
    base: ModelFolder,
    sharding: Sharding,
    shard_layer: Callable[[nn.Module], nn.Module],
    ranks: Ranks,
    reporter: Reporter,
) -> nn.Module:
    """The sharded model with its weights. Raises ModelNotAvailable where files lack a tensor."""
    reporter.stage(Stage.LOAD)
    loader = Loader(skeleton, find_weights(base.folder), ranks.device, config.quantization, config.training.seed)
    loader.load(shard_layer, reporter.advance)
    if config.quantization and skeleton.fused_weights:
        log(
            ranks,
            f"{len(skeleton.fused_weights)} fused weights of experts stay in 16 bit; only linear layers are packed",
        )
    return sharding.shard_root(skeleton, LanguageModelLoss(skeleton))
