"""Backups: `manage.py backup`, `verify` and `restore`, on SQLite and PostgreSQL.

A backup is two files in one folder: the data, and beside it a manifest (JSON) with its checksum and what is in it.
The manifest comes last: a backup without one was never finished.
"""
