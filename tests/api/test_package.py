"""The packages lie where nothing shadows the standard library."""

from pathlib import Path


def test_operator_is_no_package() -> None:
    """An `operator/__init__.py` would shadow Python's own `operator` for a process started in the root."""
    assert not (Path(__file__).parents[2] / "operator" / "__init__.py").exists()
