"""Idempotency records in the admin: staff find, view and purge them."""

import re
from collections.abc import Callable

import httpx
import pytest

from tests.running_service import RunningService
from tests.staff_browser import Browser

LIST = "/admin/core/idempotencyrecord/"


@pytest.fixture
def digest(service: RunningService, me: httpx.Client) -> str:
    """The digest of a record that the user created."""
    item = me.post("/v1/items/", json={"name": "kept answer"}, headers={"Idempotency-Key": "the-key"}).json()
    [[found]] = service.query("SELECT scope_digest FROM idempotency_record WHERE location LIKE ?", f"%{item['id']}")
    return str(found)


def expire(service: RunningService, digest: str) -> None:
    service.query("UPDATE idempotency_record SET expires_at = '2020-01-01 00:00:00' WHERE scope_digest = ?", digest)


def test_record_is_found_by_digest_and_shows_the_response(boss: Browser, digest: str) -> None:
    assert digest in boss.get(f"{LIST}?q={digest[:12].upper()}")
    page = boss.get(f"{LIST}{digest}/change/")
    assert "kept answer" in page
    assert "the-key" not in page
    assert 'name="_save"' not in page


def test_expired_records_are_filtered_and_purged(boss: Browser, service: RunningService, digest: str) -> None:
    assert "1 idempotency record" in boss.get(f"{LIST}?expired=no&q={digest}")
    expire(service, digest)
    assert "0 idempotency records" in boss.get(f"{LIST}?expired=no&q={digest}")
    assert "1 idempotency record" in boss.get(f"{LIST}?expired=yes&q={digest}")
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', boss.get(LIST))
    assert token
    assert boss.client.post(f"{LIST}purge/", data={"csrfmiddlewaretoken": token[1]}).status_code == 302
    assert re.search(r"\d+ expired records? (was|were) purged", boss.get(LIST))
    assert service.query("SELECT 1 FROM idempotency_record WHERE scope_digest = ?", digest) == []


def test_staff_without_delete_permission_cannot_purge(
    staff: Callable[..., Browser], service: RunningService, digest: str
) -> None:
    browser = staff("view_idempotencyrecord")
    expire(service, digest)
    page = browser.get(LIST)
    assert "Purge" not in page
    token = browser.client.cookies["csrftoken"]
    assert browser.client.post(f"{LIST}purge/", data={"csrfmiddlewaretoken": token}).status_code == 403
    assert service.query("SELECT 1 FROM idempotency_record WHERE scope_digest = ?", digest) == [(1,)]
