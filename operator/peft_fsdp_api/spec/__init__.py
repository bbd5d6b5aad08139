"""The sections of a job's spec, one file per question: what, on what data, how, where to, on what, how often."""

from .data import DatasetSpec
from .lifecycle import BudgetSpec, RestartSpec
from .model import FsdpSpec, LoraSpec, ModelSpec, QuantizationSpec
from .output import CacheSpec, HubSpec, OutputSpec, PushToHubSpec
from .pod import EnvVar, Resources, Toleration, VolumeMount
from .training import CheckpointSpec, EvaluationSpec, Every, TrainingSpec
from .workers import WorkersSpec

__all__ = [
    "BudgetSpec",
    "CacheSpec",
    "CheckpointSpec",
    "DatasetSpec",
    "EnvVar",
    "EvaluationSpec",
    "Every",
    "FsdpSpec",
    "HubSpec",
    "LoraSpec",
    "ModelSpec",
    "OutputSpec",
    "PushToHubSpec",
    "QuantizationSpec",
    "Resources",
    "RestartSpec",
    "Toleration",
    "TrainingSpec",
    "VolumeMount",
    "WorkersSpec",
]
