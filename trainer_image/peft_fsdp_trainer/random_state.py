"""The random numbers of this rank, which decide what dropout drops. Used by `checkpoint` and `loop`."""

import torch


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """The state of the generators of host and device; no GPU has to wait for it."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def set_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    """Make the generators go on from there."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
