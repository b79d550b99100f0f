"""Fixtures of the tests of accounts in the admin."""

import pytest


@pytest.fixture(autouse=True)
def _clients_are_closed(close_clients: None) -> None:
    """Use `close_clients` in every test of this folder."""
