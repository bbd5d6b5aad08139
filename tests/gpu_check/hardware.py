"""The GPUs of this machine, and how full their memory is. Used by `__main__` and, for the samples, by `watch`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from peft_fsdp_trainer.gpus import visible_gpus


@dataclass(frozen=True)
class Hardware:
    """What both runs get."""

    gpus: int
    gpu_bytes: int = 0
    """Memory of the smallest one."""
    host_bytes: int = 0
    """Free host memory for each process."""
    facts: dict[str, str] = field(default_factory=dict)

    @property
    def processes(self) -> int:
        """Ranks of a run."""
        return self.gpus or 1


def only_cpu() -> Hardware:
    """No GPU on purpose."""
    return Hardware(gpus=0)


def find_gpus() -> Hardware | None:
    """All GPUs that CUDA shows, or None."""
    count = visible_gpus()
    if count == 0:
        return None
    import torch

    devices = [torch.cuda.get_device_properties(index) for index in range(count)]
    smallest = min(int(device.total_memory) for device in devices)
    facts = {"gpu": f"{count} x {devices[0].name}, {smallest / 2**30:.0f} GiB", "torch": torch.__version__}
    return Hardware(count, smallest, _free_host_memory() // count, facts)


def _free_host_memory() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))


def gpu_memory_gauge(gpus: int) -> Callable[[], int]:
    """A function that gives the bytes in use on the fullest GPU, by whom ever, beyond what is in use now."""
    if gpus == 0:
        return lambda: 0
    import torch

    def used(index: int) -> int:
        free, total = torch.cuda.mem_get_info(index)
        return int(total - free)

    before = [used(index) for index in range(gpus)]  # the first call makes this process's own context
    return lambda: max(used(index) - before[index] for index in range(gpus))
