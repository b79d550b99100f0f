"""Lists of a resource: filters, keyset pages, cursors and SQL statements."""
