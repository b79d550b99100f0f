"""The path prefixes that the service treats differently."""

API_PREFIX = "/v1/"
ADMIN_PREFIX = "/admin/"
STATIC_PREFIX = "/static/"

# Django's synchronous code serves these paths, through Django's URL resolver.
DJANGO_PREFIXES = (ADMIN_PREFIX, STATIC_PREFIX)
