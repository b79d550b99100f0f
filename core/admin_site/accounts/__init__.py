"""Accounts in the admin: users, groups, sessions, API keys and the audit events."""
