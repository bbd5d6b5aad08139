"""Experiment trackers: TensorBoard, Weights & Biases, MLflow. The only module that knows their names.

Accelerate's trackers are made as explicit objects, on rank 0 alone. Addresses and keys come from the environment, as
each of the tools documents. Called by `train` and `loop`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from accelerate import PartialState
from accelerate.tracking import GeneralTracker, MLflowTracker, TensorBoardTracker, WandBTracker

from peft_fsdp_api.trainer_config import TrainerConfig

from .distributed import Ranks
from .errors import TrainerError
from .output import Output

TENSORBOARD_FOLDER: Final = "tensorboard"


@dataclass(frozen=True)
class Trackers:
    """The trackers of a run; none on any rank but 0."""

    open: tuple[GeneralTracker, ...] = ()

    def log(self, values: dict[str, float], step: int) -> None:
        """Give every tracker a point."""
        for tracker in self.open:
            tracker.log(values, step=step)

    def close(self) -> None:
        """Bring everything to its place."""
        for tracker in self.open:
            tracker.finish()


def start_trackers(config: TrainerConfig, output: Output, ranks: Ranks) -> Trackers:
    """The trackers that `training.reportTo` names, told about the configuration.

    Raises:
        TrainerError: one of them does not start; the message has its own words.
    """
    wanted = config.training.report_to
    if not wanted or not ranks.is_first:
        return Trackers()
    # The trackers ask this object whether they are on the main process; it would guess the device otherwise.
    PartialState(cpu=ranks.device.type == "cpu")
    return Trackers(tuple(_start(name, config, output) for name in wanted))


def _start(name: str, config: TrainerConfig, output: Output) -> GeneralTracker:
    tracker = _MAKERS[name](config, output)
    try:
        tracker.start()
        tracker.store_init_configuration(_flat(config))
    except Exception as error:
        raise TrainerError(
            f"the tracker {name} did not start: {error}",
            hint=f"Check its address and key in workers.env, or take {name} out of training.reportTo.",
        ) from error
    return tracker


def _tensorboard(config: TrainerConfig, output: Output) -> GeneralTracker:
    return TensorBoardTracker(config.job.name, logging_dir=output.folder / TENSORBOARD_FOLDER)


def _wandb(config: TrainerConfig, _output: Output) -> GeneralTracker:
    project = os.environ.get("WANDB_PROJECT", config.job.namespace)
    # The job's uid joins the curves of all attempts into one run.
    return WandBTracker(project, name=config.job.name, id=config.job.uid, resume="allow", dir=config.paths.scratch)


def _mlflow(config: TrainerConfig, _output: Output) -> GeneralTracker:
    return MLflowTracker(experiment_name=config.job.namespace, run_name=config.job.name)


_MAKERS: Final[dict[str, Callable[[TrainerConfig, Output], GeneralTracker]]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}


def _flat(config: TrainerConfig) -> dict[str, Any]:
    """The configuration as one level of names and plain values, which is what all three take."""
    flat: dict[str, Any] = {}
    for section, content in config.model_dump(mode="json", by_alias=True, exclude_none=True).items():
        items = content.items() if isinstance(content, dict) else [("", content)]
        for key, value in items:
            name = f"{section}.{key}" if key else section
            flat[name] = value if isinstance(value, (int, float, str)) else str(value)
    return flat
