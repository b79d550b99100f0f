"""The requests of each scenario, as bytes.

MARK stands for a number that no other request has. It has the same length, so that Content-Length stays correct.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

MARK = "@" * 16
ITEM = {
    "name": "bench item",
    "description": "A description of ordinary length, as a user would write it. It goes on a little, and ends here.",
    "status": "active",
    "metadata": {"color": "blue", "size": 3, "tags": ["a", "b"]},
}


@dataclass(frozen=True)
class Target:
    """The user and items of the requests. `tags` are the items' ETags. `cursor` is in the middle of the list."""

    port: int
    token: str
    ids: list[str]
    tags: list[str]
    cursor: str

    def request(self, method: str, path: str, body: object = None, **headers: str) -> bytes:
        """Return one complete request."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Accept: application/json"]
        lines += [f"Authorization: Bearer {self.token}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        content = b""
        if body is not None:
            content = json.dumps(body).encode()
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        return "\r\n".join([*lines, "", ""]).encode() + content


type Make = Callable[[Target], list[bytes]]


def _get(target: Target) -> list[bytes]:
    return [target.request("GET", f"/v1/items/{one}") for one in target.ids]


def _get_304(target: Target) -> list[bytes]:
    both = zip(target.ids, target.tags, strict=True)
    return [target.request("GET", f"/v1/items/{one}", If_None_Match=tag) for one, tag in both]


def _list(target: Target) -> list[bytes]:
    return [target.request("GET", "/v1/items/?limit=20")]


def _list_deep(target: Target) -> list[bytes]:
    return [target.request("GET", f"/v1/items/?limit=20&cursor={target.cursor}")]


def _create(target: Target) -> list[bytes]:
    return [target.request("POST", "/v1/items/", ITEM)]


def _create_idem(target: Target) -> list[bytes]:
    return [target.request("POST", "/v1/items/", ITEM, Idempotency_Key=f'"bench-{MARK}"')]


def _update(target: Target) -> list[bytes]:
    change = {"description": f"Changed {MARK}"}
    return [target.request("PATCH", f"/v1/items/{one}", change) for one in target.ids]


def _mixed(target: Target) -> list[bytes]:
    """80 % get, 10 % list, 8 % create and 2 % update, in the same order in every run."""
    dice = random.Random(6)  # noqa: S311
    parts: list[tuple[list[bytes], int]] = [
        (_get(target), 800), (_list(target), 100), (_create(target), 80), (_update(target), 20),
    ]  # fmt: skip
    requests = [dice.choice(some) for some, count in parts for _ in range(count)]
    dice.shuffle(requests)
    return requests


SCENARIOS: dict[str, tuple[Make, frozenset[int]]] = {
    "get": (_get, frozenset({200})),
    "get_304": (_get_304, frozenset({304})),
    "list": (_list, frozenset({200})),
    "list_deep": (_list_deep, frozenset({200})),
    "create": (_create, frozenset({201})),
    "create_idem": (_create_idem, frozenset({201})),
    "update": (_update, frozenset({200})),
    "mixed": (_mixed, frozenset({200, 201})),
}


def write_requests(file: Path, requests: list[bytes]) -> None:
    """Write requests for a load generator: each follows its length in bytes and a line break."""
    file.write_bytes(b"".join(b"%d\n%s" % (len(one), one) for one in requests))


def read_requests(file: Path) -> list[bytes]:
    """Read the requests that `write_requests` wrote."""
    data, requests = file.read_bytes(), []
    while data:
        length, _, data = data.partition(b"\n")
        requests.append(data[: int(length)])
        data = data[int(length) :]
    return requests
