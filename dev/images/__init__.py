"""Builds the operator's and the trainer's image without Docker, for the one-machine cluster or a registry of yours."""
