"""Items changed through the ORM: each change increments the version."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError

from core.values import now
from items.models import Item, ItemQuerySet
from tests.items.rows import DAWN, make_item, make_user

pytestmark = pytest.mark.django_db


def test_new_item_is_at_version_1() -> None:
    before = now()
    item = Item.objects.create(name="new", owner=make_user())
    assert (item.version, item.status, item.description, item.metadata) == (1, "active", "", {})
    assert item.id.version == 7
    assert before <= item.created_at == item.updated_at <= now()
    assert str(item) == "new"


def test_save_increments_the_version() -> None:
    item = make_item(make_user())
    item.name = "changed"
    item.save()
    assert item.version == 2, "the instance has the new version"
    stored = Item.objects.get()
    assert (stored.name, stored.version, stored.created_at) == ("changed", 2, DAWN)
    assert stored.updated_at > DAWN


def test_save_with_update_fields_increments_the_version() -> None:
    item = make_item(make_user())
    item.name, item.description = "changed", "not saved"
    item.save(update_fields=["name"])
    stored = Item.objects.get()
    assert (stored.name, stored.description, stored.version) == ("changed", "", 2)
    assert stored.updated_at > DAWN


def test_save_of_a_stale_instance_never_lowers_the_version() -> None:
    item = make_item(make_user())
    stale = Item.objects.get()
    for _ in range(3):
        item.save()
    stale.save()
    assert Item.objects.get().version == 5


def test_updated_at_increases_if_the_clock_is_behind() -> None:
    tomorrow = now() + timedelta(days=1)
    item = make_item(make_user(), updated=(tomorrow - DAWN).total_seconds())
    item.save()
    assert Item.objects.get().updated_at > tomorrow


def test_queryset_updates_increment_each_version() -> None:
    owner = make_user()
    items = [make_item(owner, name=f"{number}") for number in range(3)]
    assert Item.objects.filter(name__in="01").update(status="draft") == 2
    assert list(Item.objects.order_by("name").values_list("version", "status")) == [
        (2, "draft"),
        (2, "draft"),
        (1, "active"),
    ]
    Item.objects.filter(pk=items[2].pk).update(version=7)
    for item in items:
        item.name = "same"
    Item.objects.bulk_update(items, ["name"])
    assert list(Item.objects.order_by("pk").values_list("version", flat=True)) == [3, 3, 8]


def test_deletes_by_instance_queryset_and_owner() -> None:
    owner = make_user()
    item = make_item(owner)
    make_item(owner)
    assert item.delete()[0] == 1
    assert Item.objects.all().delete()[0] == 1
    make_item(owner)
    owner.delete()
    assert not Item.objects.exists()


def test_model_refuses_invalid_fields() -> None:
    item = make_item(make_user())
    for field, value in (("name", ""), ("name", "x" * 201), ("status", "gone")):
        broken = Item.objects.get(pk=item.pk)
        setattr(broken, field, value)
        with pytest.raises(ValidationError) as refusal:
            broken.full_clean()
        assert refusal.value.message_dict.keys() == {field}


def test_item_needs_an_owner() -> None:
    with pytest.raises(IntegrityError):
        Item.objects.create(name="nobody's")


def test_as_rows_returns_text_as_the_database_stores_it() -> None:
    owner = make_user()
    item = make_item(owner, name="é", metadata={"b": [1, 1.0, "é"], "a": None})
    [row] = ItemQuerySet(Item).as_rows()
    found = Item.row_type()(*row)
    assert found.metadata == '{"b":[1,1.0,"é"],"a":null}'
    assert found.id.replace("-", "") == item.id.hex
    assert found.owner_id.replace("-", "") == owner.id.hex
    assert isinstance(found.created_at, str)
    assert found.created_at.startswith("2026-01-01 00:00:00")
    assert (found.name, found.description, found.status, found.version) == ("é", "", "active", 1)
