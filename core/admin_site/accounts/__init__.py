"""The admin pages of users, groups, sessions, API keys and the audit log."""
