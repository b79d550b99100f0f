"""A clock that jumps an hour ahead or back lets nobody in, locks nobody out, and brings no order into disorder."""

import itertools
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.running_service import PASSWORD, RunningService

LIBRARY = "libfaketimeMT.so.1"
HOUR = 3600


class Clock:
    """The clock of the service's processes, as far ahead of the real one as it is set."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "offset"
        self.set(0)

    def set(self, seconds: int) -> None:
        """From now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """What has a process go by it. Its monotonic clock goes on as it should."""
        found = [*Path("/usr/lib").glob(f"*/faketime/{LIBRARY}"), *Path("/usr/lib/faketime").glob(LIBRARY)]
        if not found:
            pytest.skip("libfaketime is not on this machine: apt install faketime")
        return {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


@pytest.fixture
def service(start: Callable[..., RunningService], clock: Clock) -> RunningService:
    return start(**clock.environment)


def refreshed(client: httpx.Client) -> int:
    """Goes on with the session; what an access token of another time cannot, its refresh token can."""
    answer = client.post("/v1/auth/refresh", json={"refresh_token": client.tokens["refresh_token"]})  # type: ignore[attr-defined]
    if answer.status_code == 200:
        client.tokens = answer.json()  # type: ignore[attr-defined]
        client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return answer.status_code


def log_in(client: httpx.Client, email: str, password: str) -> httpx.Response:
    return client.post("/v1/auth/login", json={"email": email, "password": password})


# The processes are started anew in between: nothing that one remembers is to be of help.
@pytest.mark.slow
@pytest.mark.parametrize(
    "jumps",
    [
        (HOUR, -HOUR),
        pytest.param((HOUR, 0), marks=pytest.mark.fault),
        pytest.param((-HOUR, 0), marks=pytest.mark.fault),
    ],
)
def test_everybody_can_go_on_and_nobody_else(service: RunningService, clock: Clock, jumps: tuple[int, ...]) -> None:
    with closing(service.user()) as me, closing(service.user()) as gone, service.client() as guest:
        key = me.post("/v1/auth/api-keys", json={"name": "a key", "scopes": ["items:read"]}).json()["key"]
        made = me.post("/v1/items/", json={"name": "0"}, headers={"Idempotency-Key": "once"})
        path, seen = made.headers["Location"], [made.json()]
        assert gone.post("/v1/auth/logout").status_code == 204
        for number, jump in enumerate(jumps, 2):
            clock.set(jump)
            service.stop()
            service.start()
            assert guest.get(path, headers={"Authorization": f"Bearer {key}"}).status_code == 200
            assert me.get(path).status_code in (200, 401)
            assert refreshed(me) == 200
            assert me.get(path).status_code == 200
            assert gone.get(path).status_code == 401
            assert refreshed(gone) == 401
            assert guest.get(path).status_code == 401
            assert log_in(guest, me.email, PASSWORD).status_code == 200  # type: ignore[attr-defined]
            assert log_in(guest, me.email, "wrong").status_code == 401  # type: ignore[attr-defined]
            again = me.post("/v1/items/", json={"name": "0"}, headers={"Idempotency-Key": "once"})
            assert again.content == made.content
            assert me.post("/v1/items/", json={"name": f"{number}"}).status_code == 201
            seen.append(me.patch(path, json={"name": f"{number}"}).json())
        assert [item["version"] for item in seen] == [1, 2, 3]
        assert all(one["updated_at"] < other["updated_at"] for one, other in itertools.pairwise(seen))
        assert walk(me) == {item["id"] for item in me.get("/v1/items/?limit=100").json()["items"]}
        assert len(walk(me)) == 3
        assert me.get("/health/ready").status_code == 200


def walk(me: httpx.Client) -> set[str]:
    """The ids of all items, one page after the other, none of which comes twice."""
    found: list[str] = []
    url = "/v1/items/?limit=1"
    while url:
        page = me.get(url)
        found += [item["id"] for item in page.json()["items"]]
        cursor = page.json()["next_cursor"]
        url = f"/v1/items/?limit=1&cursor={cursor}" if cursor else ""
    assert len(found) == len(set(found))
    return set(found)


@pytest.mark.slow
def test_lock_of_an_account_ends_whatever_the_clock_does(service: RunningService, clock: Clock) -> None:
    with closing(service.user()) as me, service.client() as guest:
        email: str = me.email  # type: ignore[attr-defined]
        clock.set(HOUR)
        while (answer := log_in(guest, email, "wrong")).status_code == 401:
            pass
        assert answer.status_code == 429
        assert log_in(guest, email, PASSWORD).status_code == 429
        clock.set(0)
        # The lock is from the future: nobody stays out for longer than it was meant.
        answer = log_in(guest, email, PASSWORD)
        assert answer.status_code == 200 or int(answer.headers["Retry-After"]) <= 15 * 60
