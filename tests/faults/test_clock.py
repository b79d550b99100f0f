"""If the clock jumps an hour ahead or back, access control, lockouts, versions and lists stay correct."""

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
    """The clock of the service's processes, with an offset from the real clock."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "offset"
        self.set(0)

    def set(self, seconds: int) -> None:
        """Set the offset in seconds."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a process uses this clock. Its monotonic clock stays real."""
        found = [*Path("/usr/lib").glob(f"*/faketime/{LIBRARY}"), *Path("/usr/lib/faketime").glob(LIBRARY)]
        if not found:
            pytest.skip("libfaketime is not installed: apt-get install faketime")
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


def refresh(client: httpx.Client) -> int:
    """Refresh the session and return the status. An access token from before a jump may be invalid."""
    response = client.post("/v1/auth/refresh", json={"refresh_token": client.tokens["refresh_token"]})  # type: ignore[attr-defined]
    if response.status_code == 200:
        client.tokens = response.json()  # type: ignore[attr-defined]
        client.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
    return response.status_code


def log_in(client: httpx.Client, email: str, password: str) -> httpx.Response:
    return client.post("/v1/auth/login", json={"email": email, "password": password})


# The processes restart in between, so that no state in memory can help.
@pytest.mark.slow
@pytest.mark.parametrize(
    "jumps",
    [
        (HOUR, -HOUR),
        pytest.param((HOUR, 0), marks=pytest.mark.fault),
        pytest.param((-HOUR, 0), marks=pytest.mark.fault),
    ],
)
def test_clock_jumps_neither_revoke_nor_restore_credentials(
    service: RunningService, clock: Clock, jumps: tuple[int, ...]
) -> None:
    with closing(service.user()) as me, closing(service.user()) as logged_out, service.client() as guest:
        key = me.post("/v1/auth/api-keys", json={"name": "a key", "scopes": ["items:read"]}).json()["key"]
        first = me.post("/v1/items/", json={"name": "0"}, headers={"Idempotency-Key": "once"})
        path, seen = first.headers["Location"], [first.json()]
        assert logged_out.post("/v1/auth/logout").status_code == 204
        for number, jump in enumerate(jumps, 2):
            clock.set(jump)
            service.stop()
            service.start()
            assert guest.get(path, headers={"Authorization": f"Bearer {key}"}).status_code == 200
            assert me.get(path).status_code in (200, 401)
            assert refresh(me) == 200
            assert me.get(path).status_code == 200
            assert logged_out.get(path).status_code == 401
            assert refresh(logged_out) == 401
            assert guest.get(path).status_code == 401
            assert log_in(guest, me.email, PASSWORD).status_code == 200  # type: ignore[attr-defined]
            assert log_in(guest, me.email, "wrong").status_code == 401  # type: ignore[attr-defined]
            repeated = me.post("/v1/items/", json={"name": "0"}, headers={"Idempotency-Key": "once"})
            assert repeated.content == first.content
            assert me.post("/v1/items/", json={"name": f"{number}"}).status_code == 201
            seen.append(me.patch(path, json={"name": f"{number}"}).json())
        assert [item["version"] for item in seen] == [1, 2, 3]
        assert all(one["updated_at"] < other["updated_at"] for one, other in itertools.pairwise(seen))
        assert walk(me) == {item["id"] for item in me.get("/v1/items/?limit=100").json()["items"]}
        assert len(walk(me)) == 3
        assert me.get("/health/ready").status_code == 200


def walk(me: httpx.Client) -> set[str]:
    """Return the ids of all items, read page by page. Assert that no id occurs twice."""
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
def test_account_lock_ends_after_the_clock_goes_back(service: RunningService, clock: Clock) -> None:
    with closing(service.user()) as me, service.client() as guest:
        email: str = me.email  # type: ignore[attr-defined]
        clock.set(HOUR)
        while (response := log_in(guest, email, "wrong")).status_code == 401:
            pass
        assert response.status_code == 429
        assert log_in(guest, email, PASSWORD).status_code == 429
        clock.set(0)
        # The lock began in the future, but must not last longer than configured.
        response = log_in(guest, email, PASSWORD)
        assert response.status_code == 200 or int(response.headers["Retry-After"]) <= 15 * 60
