"""PostgreSQL: connections, jobs, read replicas, fast path."""
