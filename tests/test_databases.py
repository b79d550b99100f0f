"""The database that the tests use."""

import os
import uuid
from pathlib import Path

import httpx
import pytest
from django.db import connection

from tests import databases
from tests.running_service import RunningService


def test_tests_use_the_configured_database() -> None:
    assert connection.vendor == ("postgresql" if databases.IS_POSTGRES else "sqlite")
    if os.environ.get("TEST_DB_DSN"):
        assert databases.IS_POSTGRES


def test_running_service_uses_the_same_database(service: RunningService, me: httpx.Client) -> None:
    name = f"to be seen {uuid.uuid4()}"
    assert me.post("/v1/items/", json={"name": name}).status_code == 201
    assert service.query("SELECT count(*) FROM item WHERE name = ?", name) == [(1,)]
    assert service.query("UPDATE item SET status = 'draft' WHERE name = ?", name) == []
    assert name.encode() in service.stored()


def test_every_dsn_names_a_new_database(tmp_path: Path) -> None:
    if not databases.IS_POSTGRES:
        pytest.skip("SQLite databases are files in different folders")
    assert databases.new_dsn(tmp_path) != databases.new_dsn(tmp_path)
