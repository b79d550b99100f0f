"""How fast the service is, and what it costs: `make bench`, explained in docs/performance.md. Linux only."""
