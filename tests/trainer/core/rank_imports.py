"""What the fork server of `gang` imports once for all ranks, as quietly as a real rank does."""

from peft_fsdp_trainer.library_noise import silence_known_noise

silence_known_noise()

import peft_fsdp_trainer.train  # noqa: E402, F401
