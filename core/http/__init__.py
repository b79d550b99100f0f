"""HTTP itself: the request, its parts, and problems. Nothing here knows a user or a database."""
