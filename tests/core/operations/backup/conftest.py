"""What the tests of backups share."""

from pathlib import Path

import pytest

from tests.core.sqlite_file import database

__all__ = ["database"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for backups, which does not exist yet."""
    return tmp_path / "backups"
