"""Fixtures of the backup tests."""

from pathlib import Path

import pytest

from tests.core.sqlite_file import database

__all__ = ["database"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The path of a folder that does not exist yet."""
    return tmp_path / "backups"
