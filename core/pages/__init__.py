"""Pages of the service: /, /v1, /docs, /openapi.json, /problems/ and static files."""
