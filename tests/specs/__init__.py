"""Thousands of generated specs, of which nobody has thought one by one: `python -m tests.specs --count 10000`."""
