"""Accounts, their sessions and API keys, and the audit log."""
