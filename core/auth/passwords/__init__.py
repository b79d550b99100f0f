"""Passwords: their rules, their hashing and the lockout after failures."""
