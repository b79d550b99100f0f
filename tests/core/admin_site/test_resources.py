"""Forms of resources in the admin: their fields come from the model and the schema."""

from typing import Any

import pytest
from django import forms
from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.test import RequestFactory
from django.test.utils import isolate_apps
from pydantic import BaseModel, Field

from core.admin_site.resource_form import JSONFormField, JSONTextArea, ResourceForm
from core.admin_site.resources import ResourceAdmin
from core.auth.models import User
from core.database.fields import JSONTextField
from core.resources.model import Resource
from core.resources.store import Store
from core.values import uuid7


class ThingIn(BaseModel):
    title: str = Field(max_length=5, description="What people call it.")
    notes: str = ""
    rank: int = Field(0, ge=0)
    is_urgent: bool = False
    lines: list[str] = []
    extra: dict[str, Any] = Field(default_factory=dict)


class ThingAdmin(ResourceAdmin):
    list_display = ("title", "owner")


class ThingSubsetAdmin(ThingAdmin):
    content = ("rank", "title")


class ShortNotesForm(ResourceForm):
    notes = forms.CharField(label="Remarks", required=False)


class ThingFormAdmin(ThingAdmin):
    form = ShortNotesForm


@pytest.fixture
def thing() -> Any:
    """An instance of a resource that exists only in these tests."""
    with isolate_apps("items"):

        class Thing(Resource):
            title = models.CharField(max_length=5)
            notes = models.TextField(default="", blank=True)
            rank = models.PositiveIntegerField(default=0)
            is_urgent = models.BooleanField(default=False)
            lines = JSONTextField(default=list, blank=True)
            extra = JSONTextField(default=dict, blank=True)

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


def admin_of(thing: Any, kind: type[ResourceAdmin] = ThingAdmin) -> ResourceAdmin:
    found = kind(type(thing), admin.site)
    found.store = Store(type(thing), ThingIn, path="/v1/things", may_access=lambda principal, owner: True)
    return found


def form_class(thing: Any, request: HttpRequest, kind: type[ResourceAdmin] = ThingAdmin) -> Any:
    return admin_of(thing, kind).get_form(request, thing, change=True)


def test_form_has_every_field_of_the_schema(thing: Any, request_of_superuser: HttpRequest) -> None:
    fields = form_class(thing, request_of_superuser).base_fields
    assert set(fields) == {*ThingIn.model_fields, "seen_version"}
    assert [fields[name].help_text for name in ("title", "notes")] == ["What people call it.", ""]
    assert isinstance(fields["rank"], forms.IntegerField)
    assert [type(fields["extra"]), type(fields["extra"].widget)] == [JSONFormField, JSONTextArea]
    assert not fields["extra"].show_hidden_initial


def test_fieldset_follows_the_order_of_the_schema(thing: Any, request_of_superuser: HttpRequest) -> None:
    (_, shown), _ = admin_of(thing).get_fieldsets(request_of_superuser, thing)
    assert shown["fields"] == ("title", "notes", "rank", "is_urgent", "lines", "extra")


def test_content_selects_and_orders_the_fields(thing: Any, request_of_superuser: HttpRequest) -> None:
    (_, shown), _ = admin_of(thing, ThingSubsetAdmin).get_fieldsets(request_of_superuser, thing)
    assert shown["fields"] == ("rank", "title")
    fields = form_class(thing, request_of_superuser, ThingSubsetAdmin).base_fields
    assert set(fields) == {"rank", "title", "seen_version"}


def test_declared_form_field_replaces_the_generated_one(thing: Any, request_of_superuser: HttpRequest) -> None:
    fields = form_class(thing, request_of_superuser, ThingFormAdmin).base_fields
    assert set(fields) == {*ThingIn.model_fields, "seen_version"}
    assert fields["notes"].label == "Remarks"


SENT = {"title": "new", "rank": "3", "extra": '{"a": 1}', "is_urgent": "on", "seen_version": "1"}


def sent_form(thing: Any, request: HttpRequest, fields: dict[str, str]) -> Any:
    return form_class(thing, request)(RequestFactory().post("/", fields).POST, instance=thing)


def test_form_reads_every_field(thing: Any, request_of_superuser: HttpRequest) -> None:
    form = sent_form(thing, request_of_superuser, SENT)
    assert form.is_valid()
    assert form.checked == ThingIn(title="new", rank=3, is_urgent=True, extra={"a": 1})
    assert set(form.changed_data) == {"title", "rank", "is_urgent", "extra"}


def test_empty_json_is_the_default(thing: Any, request_of_superuser: HttpRequest) -> None:
    form = sent_form(thing, request_of_superuser, SENT | {"lines": " ", "extra": ""})
    assert form.is_valid()
    assert (form.cleaned_data["lines"], form.cleaned_data["extra"]) == ([], {})


def test_schema_checks_the_values(thing: Any, request_of_superuser: HttpRequest) -> None:
    form = sent_form(thing, request_of_superuser, SENT | {"title": "much too long"})
    assert form.errors == {"title": ["This must be at most 5 characters."]}
