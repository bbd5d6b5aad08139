"""Tests with real pods on the one-machine cluster: what a user sees from `kubectl apply` to the adapter."""
