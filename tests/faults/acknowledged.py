"""Comparison of the database with the changes that retrying clients saw acknowledged."""

from collections import Counter
from contextlib import closing

from tests.faults.retrying_client import RetryingClient
from tests.faults.stack import Stack


def start_retrying_clients(stack: Stack, count: int) -> list[RetryingClient]:
    """Start clients that share one user."""
    with closing(stack.service.user()) as me:
        authorization = str(me.headers["Authorization"])
    clients = [RetryingClient(stack.service.port, authorization, number) for number in range(count)]
    for client in clients:
        client.start()
    return clients


def check_acknowledged_changes(stack: Stack, clients: list[RetryingClient]) -> None:
    """Assert that the rows have every acknowledged change exactly once."""
    assert [found for client in clients for found in client.unexpected] == []
    rows = stack.service.query("SELECT id, name, version FROM item WHERE name LIKE '%@%'")
    found = {name.partition("@")[0]: (str(item_id).replace("-", ""), version) for item_id, name, version in rows}
    assert set(Counter(name.partition("@")[0] for _, name, _ in rows).values()) == {1}, "a key has more than one item"
    assert all(name.partition("@")[2] == str(version) for _, name, version in rows), "a change was applied twice"
    for client in clients:
        for key, item in client.acknowledged_items.items():
            assert found[key][0] == item.id.replace("-", "")
            assert found[key][1] >= item.version
    if stack.postgres is None:
        assert stack.service.query("PRAGMA integrity_check") == [("ok",)]
