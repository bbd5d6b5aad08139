"""PID 1 of a trainer pod, and what `peft-fsdp run` uses on a workstation.

It starts the ranks, watches them, says from outside the training processes how far they are, and writes down how it
ended. It never imports torch: it is up and has checked the config before torch would be loaded.
"""
