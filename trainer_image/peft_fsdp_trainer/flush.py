"""Brings finished files to the disk before a rename says that they are there. Used by `output` and the data cache."""

import os
from pathlib import Path


def flush(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_tree(folder: Path) -> None:
    """Bring a folder with everything in it to the disk."""
    for path in (*folder.rglob("*"), folder):
        flush(path)
