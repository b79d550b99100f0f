"""Backups: `manage.py backup`, `verify` and `restore`, on SQLite and PostgreSQL.

A backup is two files in one folder: the data, and a manifest (JSON) with the data's checksum and contents. The manifest
is written last, so a backup without a manifest is unfinished.
"""
