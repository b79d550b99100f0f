"""Credentials of a request: access tokens, API keys, revocation and scopes."""
