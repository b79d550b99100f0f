"""Credentials of a request: bearer tokens, API keys, revocation and scopes."""
