"""What is special to PostgreSQL: connections, jobs, replicas and the fast path."""
