"""SQLite: connection options, jobs, fast path."""
