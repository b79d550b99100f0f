"""What stubborn clients were told, held against the database."""

from collections import Counter
from contextlib import closing

from tests.faults.stack import Stack
from tests.faults.stubborn_client import StubbornClient


def start_stubborn_clients(stack: Stack, count: int) -> list[StubbornClient]:
    """So many, all of one user."""
    with closing(stack.service.user()) as me:
        authorization = str(me.headers["Authorization"])
    clients = [StubbornClient(stack.service.port, authorization, number) for number in range(count)]
    for client in clients:
        client.start()
    return clients


def check_everything_is_there(stack: Stack, clients: list[StubbornClient]) -> None:
    """Against the rows of the database."""
    assert [wrong for client in clients for wrong in client.wrong] == []
    rows = stack.service.query("SELECT id, name, version FROM item WHERE name LIKE '%@%'")
    found = {name.partition("@")[0]: (str(item_id).replace("-", ""), version) for item_id, name, version in rows}
    assert set(Counter(name.partition("@")[0] for _, name, _ in rows).values()) == {1}, "one item for each key"
    assert all(name.partition("@")[2] == str(version) for _, name, version in rows), "no change was made twice"
    for client in clients:
        for key, kept in client.kept.items():
            assert found[key][0] == kept.id.replace("-", "")
            assert found[key][1] >= kept.version
    if stack.postgres is None:
        assert stack.service.query("PRAGMA integrity_check") == [("ok",)]
