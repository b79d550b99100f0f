"""A fixture that replaces the configured database with a SQLite file of the test."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connection, connections


@pytest.fixture
def database(tmp_path: Path, transactional_db: None) -> Iterator[Path]:
    """Return the file of a migrated SQLite database in WAL mode, which commands use as the configured database."""
    if connection.vendor != "sqlite":
        pytest.skip("this test needs SQLite")
    name = connection.settings_dict["NAME"]
    file = tmp_path / "live" / "app.db"
    file.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(name)) as tests, closing(sqlite3.connect(file)) as own:
        tests.backup(own)
    connections.close_all()
    connection.settings_dict["NAME"] = str(file)
    yield file
    connections.close_all()
    connection.settings_dict["NAME"] = name
