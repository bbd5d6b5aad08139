"""The trainer: `launcher` is a pod's first process, `rank` one per GPU; `local_run` does without a cluster."""
