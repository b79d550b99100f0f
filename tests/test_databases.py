"""The database that the tests themselves run on."""

import os
import uuid
from pathlib import Path

import httpx
import pytest
from django.db import connection

from tests import databases
from tests.running_service import RunningService


def test_tests_run_on_the_database_that_was_asked_for() -> None:
    assert connection.vendor == ("postgresql" if databases.IS_POSTGRES else "sqlite")
    if os.environ.get("TEST_DB_DSN"):
        assert databases.IS_POSTGRES


def test_services_run_on_it_and_can_be_looked_into(service: RunningService, me: httpx.Client) -> None:
    name = f"to be seen {uuid.uuid4()}"
    assert me.post("/v1/items/", json={"name": name}).status_code == 201
    assert service.query("SELECT count(*) FROM item WHERE name = ?", name) == [(1,)]
    assert service.query("UPDATE item SET status = 'draft' WHERE name = ?", name) == []
    assert name.encode() in service.stored()


def test_each_database_is_new(tmp_path: Path) -> None:
    if not databases.IS_POSTGRES:
        pytest.skip("SQLite's are files in folders")
    assert databases.new_dsn(tmp_path) != databases.new_dsn(tmp_path)
