"""Measurements that are too long for tests. Each package is a command: `python -m benchmarks.<name>`."""
