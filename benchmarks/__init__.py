"""Benchmarks: every number is a ratio against something real that is measured in the same run."""
