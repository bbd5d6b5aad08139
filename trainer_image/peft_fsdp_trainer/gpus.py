"""Counts the GPUs that CUDA would give this process, without importing torch; `local` refuses a run that lacks them."""

import ctypes


def visible_gpus() -> int:
    """NVIDIA GPUs that the driver offers; CUDA_VISIBLE_DEVICES counts. 0 where there is no driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value
