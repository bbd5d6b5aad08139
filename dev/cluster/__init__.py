"""A real Kubernetes on one machine, built from source, for the demo and the tests. Start at cli.py or instance.py."""
