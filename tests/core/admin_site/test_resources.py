"""Forms of resources in the admin: their fields come from the model and the schema."""

from typing import Any, ClassVar

import pytest
from django import forms
from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.test import RequestFactory
from django.test.utils import isolate_apps
from pydantic import BaseModel, Field

from core.admin_site.resources import JSONFormField, JSONTextArea, ResourceAdmin, ResourceForm
from core.auth.models import User
from core.database.fields import JSONTextField
from core.resources.model import Resource
from core.values import uuid7


class ThingIn(BaseModel):
    title: str = Field(max_length=5, description="What people call it.")
    notes: str = ""
    rank: int = Field(0, ge=0)
    is_urgent: bool = False
    extra: dict[str, Any] = Field(default_factory=dict)


class ThingForm(ResourceForm):
    schema = ThingIn


class ThingAdmin(ResourceAdmin):
    form = ThingForm
    list_display = ("title", "owner")


class ThingSubsetAdmin(ThingAdmin):
    content = ("rank", "title")


@pytest.fixture
def thing() -> Any:
    """An instance of a resource that exists for these tests only."""
    with isolate_apps("items"):

        class Thing(Resource):
            title = models.CharField(max_length=5)
            notes = models.TextField(default="", blank=True)
            rank = models.PositiveIntegerField(default=0)
            is_urgent = models.BooleanField(default=False)
            extra = JSONTextField(default=dict, blank=True)
            objects: ClassVar[models.Manager[Any]] = models.Manager()

            class Meta:
                app_label = "items"

            def __str__(self) -> str:
                return self.title

        instance = Thing(owner_id=uuid7(), title="old")
        instance._state.adding = False
        return instance


@pytest.fixture
def request_of_superuser() -> HttpRequest:
    request = RequestFactory().get("/admin/")
    request.user = User(is_superuser=True, is_active=True)
    return request


def form_class(kind: type[ResourceAdmin], thing: Any, request: HttpRequest) -> Any:
    return kind(type(thing), admin.site).get_form(request, thing, change=True)


def test_form_has_every_field_of_the_schema(thing: Any, request_of_superuser: HttpRequest) -> None:
    fields = form_class(ThingAdmin, thing, request_of_superuser).base_fields
    assert set(fields) == {*ThingIn.model_fields, "seen_version"}
    assert [fields[name].help_text for name in ("title", "notes")] == ["What people call it.", ""]
    assert isinstance(fields["rank"], forms.IntegerField)
    assert [type(fields["extra"]), type(fields["extra"].widget)] == [JSONFormField, JSONTextArea]
    assert not fields["extra"].show_hidden_initial


def test_fieldset_follows_the_order_of_the_schema(thing: Any, request_of_superuser: HttpRequest) -> None:
    (_, shown), _ = ThingAdmin(type(thing), admin.site).get_fieldsets(request_of_superuser, thing)
    assert shown["fields"] == ("title", "notes", "rank", "is_urgent", "extra")


def test_content_selects_and_orders_the_fields(thing: Any, request_of_superuser: HttpRequest) -> None:
    (_, shown), _ = ThingSubsetAdmin(type(thing), admin.site).get_fieldsets(request_of_superuser, thing)
    assert shown["fields"] == ("rank", "title")
    fields = form_class(ThingSubsetAdmin, thing, request_of_superuser).base_fields
    assert set(fields) == {"rank", "title", "seen_version"}


SENT = {"title": "new", "rank": "3", "extra": '{"a": 1}', "is_urgent": "on", "seen_version": "1"}


def sent_form(thing: Any, request: HttpRequest, fields: dict[str, str]) -> Any:
    return form_class(ThingAdmin, thing, request)(RequestFactory().post("/", fields).POST, instance=thing)


def test_form_reads_every_field(thing: Any, request_of_superuser: HttpRequest) -> None:
    form = sent_form(thing, request_of_superuser, SENT)
    assert form.is_valid()
    assert form.checked == ThingIn(title="new", rank=3, is_urgent=True, extra={"a": 1})
    assert set(form.changed_data) == {"title", "rank", "is_urgent", "extra"}


def test_schema_checks_the_values(thing: Any, request_of_superuser: HttpRequest) -> None:
    form = sent_form(thing, request_of_superuser, SENT | {"title": "much too long"})
    assert form.errors == {"title": ["This must be at most 5 characters."]}
