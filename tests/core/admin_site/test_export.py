"""Exports from the admin: exact, sent page by page, safe in spreadsheets, permitted and audited."""

import asyncio
import csv
import json
import time
from collections.abc import Callable
from contextlib import closing
from io import StringIO
from typing import Any

import httpx
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.admin_site import export
from core.admin_site.export_formats import CSVFormat, JSONFormat, without_formula
from core.database.pool import database
from core.values import uuid7
from items.models import Item, ItemQuerySet
from items.services import store
from tests.items.http import create
from tests.items.rows import make_item, make_user, with_database
from tests.running_service import STAFF_EMAIL, RunningService
from tests.staff_browser import Browser

LIST = "/admin/items/item/"
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "＝1+1", "\n=1", "\ufeff=1"]


# In the service


def exported_json(browser: Browser, query: str) -> list[dict[str, Any]]:
    answer = browser.client.get(f"{LIST}export.json?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    found: list[dict[str, Any]] = answer.json()
    return found


def exported_csv(browser: Browser, query: str) -> list[dict[str, str]]:
    answer = browser.client.get(f"{LIST}export.csv?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(StringIO(answer.content.decode("utf-8-sig"), newline="")))


def test_json_export_equals_the_apis_json(boss: Browser, me: httpx.Client) -> None:
    items = [create(me, name=f"exact {n}", metadata={"n": [2**64 - 1, 1e300, 0.1], "ü": None}) for n in range(3)]
    answer = boss.client.get(f"{LIST}export.json?owner__exact={items[0]['owner_id']}")
    assert answer.json() == items[::-1]
    assert "18446744073709551615" in answer.text
    assert answer.headers["content-disposition"].startswith('attachment; filename="items-20')
    assert "no-store" in answer.headers["cache-control"]


def test_csv_export_has_the_same_values_and_no_formulas(boss: Browser, me: httpx.Client) -> None:
    names = ["plain", 'with "quotes", and\nlines', "=cmd|' /C calc'!A0", "-2+3"]
    items = [create(me, name=name, description="@SUM(A1:A9)") for name in names]
    rows = exported_csv(boss, f"owner__exact={items[0]['owner_id']}")
    assert [row["name"] for row in rows] == ["'-2+3", "'=cmd|' /C calc'!A0", *names[1::-1]]
    assert {row["description"] for row in rows} == {"'@SUM(A1:A9)"}
    for row, item in zip(rows, items[::-1], strict=True):
        assert json.loads(row["metadata"]) == item["metadata"]
        for name in ("id", "owner_id", "status", "created_at", "updated_at"):
            assert row[name] == item[name]


def test_export_follows_the_lists_filters_search_and_order(boss: Browser, me: httpx.Client) -> None:
    for name in ("b one", "a two", "b three"):
        create(me, name=name, status="draft" if name == "a two" else "active")
    owner = f"owner__exact={create(me, name='c four')['owner_id']}"
    assert [item["name"] for item in exported_json(boss, f"{owner}&status__exact=draft")] == ["a two"]
    assert [item["name"] for item in exported_json(boss, f"{owner}&q=b+")] == ["b one", "b three"]
    by_name = exported_json(boss, f"{owner}&o=1")
    assert [item["name"] for item in by_name] == ["a two", "b one", "b three", "c four"]
    assert exported_json(boss, f"{owner}&q=nothing") == []
    assert exported_csv(boss, f"{owner}&q=nothing") == []


def test_export_with_an_invalid_filter_redirects_to_the_list(boss: Browser) -> None:
    answer = boss.client.get(f"{LIST}export.csv?nonsense=1")
    assert (answer.status_code, answer.headers["location"]) == (302, f"{LIST}?e=1")


@pytest.mark.parametrize("form", ["csv", "json"])
def test_selected_rows_are_exported(boss: Browser, me: httpx.Client, form: str) -> None:
    items = [create(me, name=f"chosen {n}") for n in range(3)]
    answer = boss.act(LIST, f"export_{form}", items[0]["id"], items[2]["id"])
    assert answer.status_code == 200
    assert [item["id"] in answer.text for item in items] == [True, False, True]


def test_rows_of_all_pages_are_exported(boss: Browser, me: httpx.Client) -> None:
    item = create(me)
    path = f"{LIST}?owner__exact={item['owner_id']}"
    answer = boss.act(path, "export_json", item["id"], select_across="1")
    assert answer.json() == [item]


def test_staff_without_view_permission_cannot_export(staff: Callable[..., Browser]) -> None:
    browser = staff("view_user")
    assert browser.client.get(f"{LIST}export.csv").status_code == 403
    assert browser.client.get(f"{LIST}export.json").status_code == 403


def test_staff_with_view_permission_can_export(staff: Callable[..., Browser]) -> None:
    browser = staff("view_item")
    assert browser.client.get(f"{LIST}export.csv").status_code == 200
    assert "export.csv" in browser.get(LIST)


def test_anonymous_export_redirects_to_log_in(service: RunningService) -> None:
    with service.client() as client:
        assert client.get(f"{LIST}export.csv").headers["location"].startswith("/admin/login/")


def test_export_is_in_the_audit_log(boss: Browser, service: RunningService, me: httpx.Client) -> None:
    create(me)
    exported_csv(boss, "status__exact=draft&q=who+did+it")
    [[user, detail]] = service.query(
        "SELECT u.email, e.detail FROM accounts_auditevent e JOIN accounts_user u ON u.id = e.user_id"
        " WHERE e.event = 'exported' AND e.detail LIKE '%who%'"
    )
    assert (user, detail) == (STAFF_EMAIL, "items as CSV, filtered by status__exact=draft&q=who+did+it")
    assert "who+did+it" in boss.get("/admin/accounts/auditevent/?event=exported")


# Page by page


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_become_text(text: str) -> None:
    assert without_formula(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "a=b", "1-2", "{}", "'=1", "name@example.org"])
def test_other_text_is_unchanged(text: str) -> None:
    assert without_formula(text) == text


def test_csv_cell_without_a_value_is_empty() -> None:
    form = CSVFormat(ItemQuerySet(Item))
    commas = form.beginning.count(b",")
    assert form.page([(None,) * (commas + 1)], is_first=True) == b"," * commas + b"\r\n"


def items_in(order: str) -> ItemQuerySet:
    return ItemQuerySet(Item).order_by(order, "pk")


async def export_all(rows: ItemQuerySet, form: Any) -> bytes:
    return b"".join([part async for part in export.stream(rows, form)])


@pytest.mark.parametrize("order", ["-created_at", "created_at", "name", "-name", "-updated_at", "pk", "-pk"])
def test_every_row_is_exported_once_and_in_order(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", 3)
    user = make_user()
    # Equal names and times span page boundaries.
    made = [make_item(user, name=f"name {n // 4}", created=n // 5, updated=n % 4) for n in range(20)]
    exported = json.loads(with_database(lambda: export_all(items_in(order), JSONFormat(store.representer.to_json))))
    field, is_down = order.removeprefix("-"), order.startswith("-")
    expected = sorted(made, key=lambda item: (getattr(item, field), item.pk), reverse=is_down)
    assert [item["id"] for item in exported] == [str(item.pk) for item in expected]


def test_rows_are_sent_before_the_last_row_is_read(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", 2)
    user = make_user()
    for n in range(5):
        make_item(user, name=f"early {n}", created=n)

    async def run() -> list[bytes]:
        rows = items_in("created_at")
        parts, stream = [], export.stream(rows, CSVFormat(rows))
        async for part in stream:
            parts.append(part)
            if len(parts) == 2:
                # Only the first page was read, so a later page must contain this change.
                await database.write(lambda: Item.objects.filter(name="early 4").update(name="late"))
        return parts

    parts = with_database(run)
    assert [part.count(b"early") for part in parts] == [0, 2, 2, 0]
    assert b"late" in parts[-1]


def test_export_reads_one_page_per_query(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", 10)
    user = make_user()
    Item.objects.bulk_create(Item(owner=user, name="x", updated_at=user.created_at) for _ in range(95))
    reader, sizes = export.PageReader(items_in("-created_at"), JSONFormat(store.representer.to_json)), [10]
    with CaptureQueriesContext(connection) as queries:
        while sizes[-1] == 10:
            sizes.append(reader.next_page()[1])
    del sizes[0]
    assert sizes == [10] * 9 + [5]
    assert all("LIMIT 10" in query["sql"] for query in queries)
    assert len(queries) == len(sizes)


def test_cancelled_export_is_logged_as_incomplete(transactional_db: None, caplog: pytest.LogCaptureFixture) -> None:
    make_item(make_user())

    async def begin() -> None:
        stream = export.stream(items_in("-created_at"), JSONFormat(store.representer.to_json))
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]

    with caplog.at_level("INFO", "agent_router.admin"):
        with_database(begin)
    [record] = [record for record in caplog.records if record.message == "Export ended"]
    assert (record.whole, record.rows) == (False, 0)  # type: ignore[attr-defined]


def test_concurrent_exports_take_turns(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE_ROWS", 1)
    user, running, most = make_user(), 0, 0
    for n in range(4):
        make_item(user, created=n)
    read = database.read_anywhere

    async def counted(job: Callable[[], Any]) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            return await read(job)
        finally:
            running -= 1

    async def run() -> list[bytes]:
        monkeypatch.setattr(database, "read_anywhere", counted)
        rows = items_in("-created_at")
        return await asyncio.gather(*(export_all(rows, JSONFormat(store.representer.to_json)) for _ in range(5)))

    found = with_database(run)
    assert len(found[0]) > 100
    assert len(set(found)) == 1
    assert most == 1


@pytest.mark.slow
def test_export_reads_no_faster_than_its_download(start: Callable[..., RunningService]) -> None:
    # Several times the size of a connection's buffers.
    count, service = 7000, start()
    fill(service, count, description="x" * 4900)
    with closing(service.user()) as me, Browser(service) as boss:
        assert boss.log_in().status_code == 302
        with boss.client.stream("GET", f"{LIST}export.json") as answer:
            assert answer.status_code == 200
            # While the client does not read, the admin and the API still respond.
            assert boss.get(LIST)
            assert me.get("/v1/items/").status_code == 200
        deadline = time.monotonic() + 60
        while not (ended := [line for line in service.log_lines() if line["message"] == "Export ended"]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not ended[0]["whole"]
        assert ended[0]["rows"] < count
        # A failing export must not look like a complete file.
        with boss.client.stream("GET", f"{LIST}export.csv") as answer:
            assert answer.status_code == 200
            service.query("ALTER TABLE item RENAME TO item_that_was")
            with pytest.raises(httpx.RemoteProtocolError):
                answer.read()


def fill(service: RunningService, count: int, *, description: str) -> None:
    """Insert items of the staff user directly into the database."""
    [[owner]] = service.query("SELECT id FROM accounts_user WHERE email = ?", STAFF_EMAIL)
    moment, values, rows = "2026-01-01 00:00:00.000001", "(?,?,?,?,?,?,?,?,?)", 500
    names = "id, owner_id, version, created_at, updated_at, name, description, status, metadata"
    for _ in range(0, count, rows):
        given: list[Any] = []
        for _ in range(rows):
            given += [uuid7().hex, owner, 1, moment, moment, "filler", description, "active", "{}"]
        service.query(f"INSERT INTO item ({names}) VALUES {','.join([values] * rows)}", *given)
