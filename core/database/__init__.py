"""The database: threads, connections, compiled queries."""
