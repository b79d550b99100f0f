"""Compiled statements do what the ORM does, for any values."""

import asyncio
import secrets
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, models
from django.db.models.functions import Lower
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.auth.models import Session, User
from core.database.compiled import (
    CompiledQuery,
    Parameter,
    compiled_delete,
    compiled_insert,
    compiled_update,
    parameter,
)
from core.database.pool import Database
from core.values import uuid7
from items.models import Item

pytestmark = pytest.mark.django_db
each_value = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)
moments = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
json_values = st.dictionaries(texts, st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | texts, max_size=3)

NAMES = ("id", "name", "description", "status", "metadata", "owner_id", "version", "created_at", "updated_at")
FIND = CompiledQuery(lambda: Item.objects.filter(id=parameter(Item, "id")).values_list(*NAMES))
INSERT = compiled_insert(lambda: Item)
INSERT_QUIETLY = compiled_insert(lambda: Item, ignore_conflicts=True)
UPDATE = compiled_update(
    lambda: Item.objects.filter(id=parameter(Item, "id")), "name", "metadata", "version", "updated_at"
)
DELETE = compiled_delete(lambda: Item.objects.filter(id=parameter(Item, "id")))
INSERT_SESSION = compiled_insert(lambda: Session)


def values(owner: User, **others: Any) -> dict[str, Any]:
    """Return a value for each column of an item."""
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    return {
        "id": uuid7(), "name": "a name", "description": "", "status": "active", "metadata": {}, "owner_id": owner.pk,
        "version": 1, "created_at": moment, "updated_at": moment, **others,
    }  # fmt: skip


@pytest.fixture
def owner() -> User:
    return User.objects.create(email=f"{secrets.token_hex(8)}@example.org")


@each_value
@given(name=texts, metadata=json_values, version=st.integers(0, 2**31 - 1), created_at=moments)
def test_inserted_row_is_read_back_by_the_orm(owner: User, **given_values: Any) -> None:
    row = values(owner, **given_values)
    assert INSERT.run(**row) == 1
    item = Item.objects.get(id=row["id"])
    assert {name: getattr(item, name) for name in NAMES} == row
    assert FIND.fetch_one(id=row["id"]) == Item.objects.values_list(*NAMES).get(id=row["id"]) == tuple(row.values())


@each_value
@given(name=texts, metadata=json_values, version=st.integers(0, 2**31 - 1), updated_at=moments)
def test_update_writes_what_the_orm_writes(owner: User, **changes: Any) -> None:
    compiled, ordinary, other = (values(owner) for _ in range(3))
    for row in (compiled, ordinary, other):
        INSERT.run(**row)
    assert UPDATE.run(id=compiled["id"], **changes) == 1
    Item.objects.filter(id=ordinary["id"]).update(**changes)
    found = {item.pk: [getattr(item, name) for name in NAMES if name != "id"] for item in Item.objects.all()}
    assert found[compiled["id"]] == found[ordinary["id"]]
    assert FIND.fetch_one(id=other["id"]) == tuple(other.values())
    assert UPDATE.run(id=uuid7(), **changes) == 0


@each_value
@given(ip=st.none() | st.ip_addresses().map(str), revoked_at=st.none() | moments, user_agent=texts)
def test_null_and_converted_values_are_stored_as_by_the_orm(owner: User, **given_values: Any) -> None:
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    times = dict.fromkeys(("created_at", "last_used_at", "expires_at", "last_expires_at"), moment)
    row = {"id": uuid7(), "user_id": owner.pk, "revoked_because": "", **times, **given_values}
    INSERT_SESSION.run(**row)
    compiled = Session.objects.get(id=row["id"])
    ordinary = Session.objects.create(**{**row, "id": uuid7()})
    ordinary.refresh_from_db()
    for field in Session._meta.concrete_fields[1:]:
        assert getattr(compiled, field.attname) == getattr(ordinary, field.attname)


def test_delete_removes_only_the_rows_of_the_queryset(owner: User) -> None:
    gone, stays = values(owner), values(owner)
    INSERT.run(**gone)
    INSERT.run(**stays)
    assert DELETE.run(id=gone["id"]) == 1
    assert DELETE.run(id=gone["id"]) == 0
    assert list(Item.objects.values_list("id", flat=True)) == [stays["id"]]


def test_conflict_is_an_error_or_ignored(owner: User) -> None:
    row = values(owner)
    assert INSERT_QUIETLY.run(**row) == 1
    assert INSERT_QUIETLY.run(**row) == 0
    with pytest.raises(IntegrityError):
        INSERT.run(**row)


QUERYSETS: dict[str, Callable[[Any], models.QuerySet[Any, Any]]] = {
    "all": lambda p: Item.objects.order_by("name").values_list("id", "name"),
    "one column": lambda p: Item.objects.filter(name=p("name")).values_list("created_at"),
    "or, not and ranges": lambda p: Item.objects.filter(
        models.Q(name__gt=p("name")) | ~models.Q(status=p("status")), created_at__lte=p("moment")
    ).order_by("-name").values_list("id", "metadata"),
    "slice": lambda p: Item.objects.filter(status=p("status")).order_by("name")[1:3].values_list("id"),
    "aggregate": lambda p: Item.objects.values("status").annotate(n=models.Count("pk")).order_by("status")
    .values_list("status", "n"),
    "annotation": lambda p: Item.objects.annotate(lower=Lower("name"), given=p("name")).order_by("id")
    .values_list("lower", "given", "owner__email"),
    "in": lambda p: Item.objects.filter(name__in=[p("name"), "b"]).order_by("name").values_list("name"),
    "percent": lambda p: Item.objects.filter(name__contains="%").filter(status=p("status")).values_list("name"),
    "subquery": lambda p: Item.objects.filter(owner__in=User.objects.filter(email=p("email"))).order_by("id")
    .values_list("id"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(QUERYSETS))
def test_compiled_query_returns_the_rows_of_its_queryset(owner: User, name: str) -> None:
    for number, title in enumerate(["a", "B", "ß", "100%", "a"]):
        INSERT.run(**values(owner, name=title, status="draft" if number % 2 else "active", metadata={"n": number}))
    moment = datetime(2026, 6, 1, tzinfo=UTC)
    given_values: dict[str, Any] = {"name": "a", "status": "draft", "moment": moment, "email": owner.email}
    fields: dict[str, models.Field[Any, Any]] = {
        "name": models.CharField(), "status": models.CharField(), "moment": models.DateTimeField(),
        "email": models.CharField(),
    }  # fmt: skip
    query = CompiledQuery(lambda: QUERYSETS[name](lambda one: Parameter(one, fields[one])))
    expected = list(QUERYSETS[name](lambda one: models.Value(given_values[one], output_field=fields[one])))
    assert expected
    for _ in range(2):
        assert query.fetch_all(**given_values) == expected
    assert query.fetch_one(**given_values) == expected[0]


def test_queryset_with_extra_columns_is_refused() -> None:
    query = CompiledQuery(lambda: Item.objects.order_by("-created_at").distinct().values_list("name"))
    with pytest.raises(ValueError, match="DISTINCT"):
        query.fetch_all()


class NameAndTime(NamedTuple):
    name: str
    created_at: datetime


def test_rows_have_the_names_of_the_values_list(owner: User) -> None:
    INSERT.run(**values(owner, name="a"))
    query = CompiledQuery(
        lambda: Item.objects.values_list("id", "name", "owner__email").annotate(lower=Lower(models.F("name")))
    )
    row = query.fetch_one()
    assert row is not None
    assert (row.name, row.owner__email, row.lower) == ("a", owner.email, "a")
    assert query.fetch_all() == [row]


def test_rows_are_instances_of_the_given_class(owner: User) -> None:
    item = values(owner, name="a")
    INSERT.run(**item)
    query = CompiledQuery(lambda: Item.objects.values_list("name", "created_at"), row=NameAndTime)
    assert query.fetch_one() == NameAndTime("a", item["created_at"])
    assert [type(row) for row in query.fetch_all()] == [NameAndTime]


def test_queryset_without_values_list_is_refused() -> None:
    with pytest.raises(ValueError, match="values_list"):
        CompiledQuery(Item.objects.all).fetch_all()


def test_row_class_with_another_number_of_fields_is_refused() -> None:
    query = CompiledQuery(lambda: Item.objects.values_list("id", "name", "created_at"), row=NameAndTime)
    with pytest.raises(ValueError, match="NameAndTime has 2 fields, the query 3 columns"):
        query.fetch_one()


def test_no_row_is_none_or_an_empty_list() -> None:
    assert FIND.fetch_one(id=uuid7()) is None
    assert FIND.fetch_all(id=uuid7()) == []


def test_parameter_without_a_value_is_an_error(owner: User) -> None:
    with pytest.raises(KeyError, match="id"):
        FIND.fetch_one(name="x")
    incomplete = values(owner)
    del incomplete["owner_id"]
    with pytest.raises(KeyError, match="owner_id"):
        INSERT.run(**incomplete)
    assert Item.objects.count() == 0


def test_parameters_are_named_by_attribute_or_as_given() -> None:
    assert parameter(Item, "owner").name == "owner_id"
    assert parameter(Item, "created_at", given_as="created_after").name == "created_after"
    field = UUID("00000000-0000-7000-8000-000000000000")
    expected = field.hex if connection.vendor == "sqlite" else field
    assert parameter(Item, "id").convert(str(field)) == expected


def test_values_of_one_call_do_not_leak_into_the_next(owner: User) -> None:
    one, other = values(owner, name="one"), values(owner, name="other")
    INSERT.run(**one)
    INSERT.run(**other)
    for row in (one, other, one):
        found = FIND.fetch_one(id=row["id"])
        assert found is not None
        assert found.name == row["name"]


def test_sql_is_compiled_once(owner: User, django_assert_num_queries: Any) -> None:
    made = []

    def build() -> models.QuerySet[Any, Any]:
        made.append(1)
        return Item.objects.filter(id=parameter(Item, "id")).values_list("id")

    query = CompiledQuery(build)
    with django_assert_num_queries(3):  # on Django's cursor, so that metrics and tracing see the statements
        for _ in range(3):
            query.fetch_one(id=uuid7())
    assert made == [1]


@pytest.mark.django_db(transaction=True)
def test_concurrent_first_use_in_many_threads() -> None:
    owner = User.objects.create(email=f"{secrets.token_hex(8)}@example.org")
    row = values(owner)
    INSERT.run(**row)
    found: list[Any] = []
    for _ in range(20):
        barrier = threading.Barrier(8, timeout=10)
        query = CompiledQuery(lambda: Item.objects.filter(id=parameter(Item, "id")).values_list(*NAMES))

        def use(query: CompiledQuery[Any] = query, barrier: threading.Barrier = barrier) -> None:
            try:
                connection.ensure_connection()
                barrier.wait()
                found.append(query.fetch_one(id=row["id"]))
            finally:
                connection.close()

        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert found == [tuple(row.values())] * 160


@pytest.mark.django_db(transaction=True)
def test_concurrent_calls_do_not_mix_their_values(run: Callable[[Any], Any]) -> None:
    owner = User.objects.create(email=f"{secrets.token_hex(8)}@example.org")
    rows = [values(owner, name=str(number)) for number in range(50)]
    for row in rows:
        INSERT.run(**row)

    async def test(database: Database) -> None:
        jobs = [partial(FIND.fetch_one, id=row["id"]) for row in rows * 20]
        found = await asyncio.gather(*map(database.read, jobs))
        assert found == [tuple(row.values()) for row in rows * 20]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        run(test)
    finally:
        sys.setswitchinterval(interval)
