"""The real input of the demo and of the tests: a dataset and a small base model, both made in this repository."""
