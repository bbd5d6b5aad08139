"""What the fork server of `gang` imports once for all ranks, as quietly and as quickly as a real rank does."""

from peft_fsdp_trainer.quick_imports import quick_imports

with quick_imports():
    import peft_fsdp_trainer.train  # noqa: F401
