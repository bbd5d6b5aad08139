"""The figures of docs/measurements.md: `make bench` measures them and writes the file."""
