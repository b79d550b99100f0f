"""Permissions of staff: every page that the admin links to opens, and no other page is linked."""

import re
from collections.abc import Callable
from html import unescape
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from tests.core.auth.calls import make_key
from tests.items.http import create
from tests.running_service import RunningService
from tests.staff_browser import Browser

SETS = [
    (),
    ("view_item",),
    ("change_item",),
    ("add_item",),
    ("view_item", "delete_item"),
    ("view_user",),
    ("change_user",),
    ("add_user", "change_user"),
    ("view_user", "delete_user", "view_session", "view_apikey"),
    ("view_session", "change_session"),
    ("view_apikey", "change_apikey"),
    ("view_auditevent",),
    ("view_idempotencyrecord",),
    ("view_idempotencyrecord", "delete_idempotencyrecord"),
    ("view_group", "change_group"),
    ("view_operations",),
]
# The number of pages to open that differ only in their query or object.
MAX_SIMILAR = 4


def links(page: str, path: str) -> set[str]:
    found = (urljoin(path, unescape(link)) for link in re.findall(r'<a\b[^>]*\bhref="([^"#]+)"', page))
    return {link for link in found if link.startswith("/admin/")}


def walk(browser: Browser) -> set[str]:
    """Open every page that is reachable from the front page and return the kinds of pages."""
    waiting, seen, kinds = ["/admin/"], {"/admin/"}, dict[str, int]()
    while waiting:
        path = waiting.pop()
        kind = re.sub(r"/[0-9a-f-]{32,64}/", "/…/", urlsplit(path).path)
        kinds[kind] = kinds.get(kind, 0) + 1
        if kinds[kind] > MAX_SIMILAR:
            continue
        answer = browser.client.get(path, follow_redirects=True)
        assert answer.status_code == 200, f"{path}: {answer.status_code}"
        if answer.headers["content-type"].startswith("text/html"):
            new = links(answer.text, path) - seen
            seen |= new
            waiting += sorted(new)
    return set(kinds)


@pytest.fixture
def sample_data(service: RunningService, me: httpx.Client) -> None:
    item = create(me, name="to be seen", metadata={"a": 1})
    me.post("/v1/items/", json={"name": "keyed"}, headers={"Idempotency-Key": item["id"]})
    make_key(service, me, "items:read")[1].close()


@pytest.mark.parametrize("permissions", SETS, ids="+".join)
def test_every_linked_page_opens(
    staff: Callable[..., Browser], sample_data: None, permissions: tuple[str, ...]
) -> None:
    kinds = walk(staff(*permissions))
    models = {kind.split("/")[3] for kind in kinds if kind.count("/") > 3}
    assert models <= {permission.split("_", 1)[1] for permission in permissions}


@pytest.mark.slow
def test_every_page_opens_for_superusers(boss: Browser, sample_data: None) -> None:
    kinds = walk(boss)
    for model in ("items/item", "accounts/user", "accounts/session", "accounts/apikey", "core/idempotencyrecord"):
        for page in ("", "…/change/", "…/history/"):
            assert f"/admin/{model}/{page}" in kinds
    assert {"/admin/items/item/export.csv", "/admin/items/item/export.json"} <= kinds


@pytest.mark.parametrize(
    "path",
    [
        "items/item/", "items/item/add/", "items/item/export.csv", "accounts/user/", "accounts/session/",
        "accounts/apikey/", "accounts/auditevent/", "auth/group/", "core/idempotencyrecord/",
    ],
)  # fmt: skip
def test_pages_without_permission_are_refused(staff: Callable[..., Browser], path: str) -> None:
    assert staff().client.get(f"/admin/{path}").status_code == 403


def test_disabled_admin_serves_no_page(start: Callable[..., RunningService]) -> None:
    with start(ADMIN_ENABLED="false").client(headers={"Accept": "text/html"}) as client:
        for path in ("/admin", "/admin/", "/admin/login/", "/admin/items/item/", "/admin/items/item/export.csv"):
            assert client.get(path).status_code == 404, path
