"""Reads the TrainerConfig file; used by the launcher, which reports what is wrong with it, and by every rank."""

from pathlib import Path

from pydantic import ValidationError

from peft_fsdp_api.trainer_config import TrainerConfig

from .errors import ConfigInvalid


def read_config(path: Path) -> TrainerConfig:
    """The config in a JSON file. Raises ConfigInvalid that names every wrong field."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(f"the configuration {path} cannot be read: {error.strerror}") from error
    try:
        return TrainerConfig.model_validate_json(text)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, part['loc'])) or path}: {part['msg']}" for part in error.errors())
        raise ConfigInvalid(wrong) from error
