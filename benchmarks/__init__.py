"""Benchmarks that the documentation quotes; each prints its table and keeps raw results with --json."""
