"""Faults between the operator and a real API server: a proxy that makes them, lives of jobs that suffer them, and
invariants that hold in spite of them. docs/faults.md describes the whole."""
