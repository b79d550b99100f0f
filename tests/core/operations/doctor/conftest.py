"""What the tests of the doctor share."""

from tests.core.sqlite_file import database

__all__ = ["database"]
