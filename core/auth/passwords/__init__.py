"""Passwords: rules for new ones, hashing, and the lockout after failed logins."""
