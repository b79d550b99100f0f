"""Pages and documents of the service itself: /, /docs, /openapi.json, /problems/ and static files."""
