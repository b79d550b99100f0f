"""The routes of /v1/auth. Every response concerns one user, so none may be stored by caches."""
