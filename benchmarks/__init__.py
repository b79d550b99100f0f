"""Benchmarks of the service's speed and resource use: `make bench`, explained in docs/performance.md. Linux only."""
