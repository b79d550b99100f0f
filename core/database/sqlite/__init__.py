"""What is special to SQLite: connection options and the fast path."""
