"""Keeps three messages of libraries, which a user can do nothing about, out of the output.

Called by `quick_imports` and `peft-fsdp ask` before they import PEFT, because the first is said while it is imported,
and by the demo.
"""

import logging
import sys
import warnings

MISSING_KERNEL = "Failed to load CPU gemm_4bit_forward"


def silence_known_noise() -> None:
    """For this process. Every other warning of these libraries still comes through."""
    # An optional kernel of bitsandbytes for CPUs; it computes the same without.
    logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(_is_no_missing_kernel)
    # PEFT asks transformers by a name that it has renamed.
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
    _hide_progress_bars()


def _is_no_missing_kernel(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(MISSING_KERNEL)


def _hide_progress_bars() -> None:
    """Those of reading and writing weights. Those of downloads stay where a person may be watching."""
    # Imported here: transformers takes seconds, and `rank` reports that it lives before it imports such things.
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, enable_progress_bars
    from transformers.utils.logging import disable_progress_bar

    keep_downloads = sys.stderr.isatty() and not are_progress_bars_disabled()
    disable_progress_bar()
    if keep_downloads:
        enable_progress_bars()
