"""Fixtures of the doctor's tests."""

from tests.core.sqlite_file import database

__all__ = ["database"]
