"""Resources in the admin: checked by the API's own schema, changed by its own services, never over a newer version."""

import re
from typing import Any, ClassVar
from uuid import UUID

import orjson
from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from pydantic import BaseModel
from pydantic import ValidationError as PydanticError

from core.admin_site.changes import record_values
from core.admin_site.exportable import ExportableAdmin
from core.admin_site.large_tables import is_sorted_by_user
from core.admin_site.user_column import user_column
from core.database.fields import JSONTextField
from core.http.json_body import parse_json
from core.http.problems import Problem
from core.http.validation import describe
from core.resources.cache.epoch import turn_on_commit
from core.resources.model import Resource
from core.values import same_json

# A textarea sends line breaks as both characters, a line of text does without.
_LINE_BREAK = re.compile(r"\r\n?|\n")
# No text that begins with another is greater than that one followed by this.
_LAST_CHARACTER = "\U0010ffff"


class JSONTextArea(forms.Textarea):
    """As high as people need it, in letters of one width."""

    class Media:
        css = {"all": ("core/forms.css",)}


class JSONFormField(forms.CharField):
    """A JSON value as people read it; read as strictly as the body of a request."""

    widget = JSONTextArea(attrs={"class": "vLargeTextField json", "rows": 16, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        """Text that was sent stays as it is."""
        return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()

    def to_python(self, value: Any) -> Any:
        text = str(value or "").strip()
        try:
            return parse_json(text.encode()) if text else {}
        except Problem as problem:
            told = [f"{error['pointer']} {error['detail']}" for error in problem.errors]
            raise ValidationError(told or [problem.detail.replace("The body", "This")]) from None

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return not same_json(orjson.dumps(initial).decode(), orjson.dumps(self.to_python(data)).decode())
        except ValidationError:
            return True


class ResourceForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form whose fields are those that the API's clients set."""

    schema: ClassVar[type[BaseModel]]
    """What the API checks them by."""
    seen_version = forms.IntegerField(widget=forms.HiddenInput, required=False)

    def __init__(self, data: Any = None, *arguments: Any, **options: Any) -> None:
        super().__init__(data, *arguments, **options)
        self.checked: BaseModel | None = None
        if not self.instance._state.adding:
            self.initial["seen_version"] = self.instance.version
        if data is not None:
            self.data = self._undo_browser(data.copy())

    def _undo_browser(self, data: Any) -> Any:
        """Line breaks as they are stored: what only the browser has changed is not a change."""
        for name in self.schema.model_fields.keys() & data.keys():
            stored, sent = getattr(self.instance, name), data[name]
            if isinstance(stored, str) and sent in (_LINE_BREAK.sub("\r\n", stored), _LINE_BREAK.sub("", stored)):
                data[name] = stored
            else:
                data[name] = _LINE_BREAK.sub("\n", sent)
        return data

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        given = {name: cleaned[name] for name in self.schema.model_fields if name in cleaned}
        try:
            self.checked = self.schema.model_validate(given)
            cleaned |= self.checked.model_dump()
        except PydanticError as error:
            for fault in error.errors(include_url=False):
                name = str(fault["loc"][0])
                if name in given:  # the form has said what is wrong with the others
                    self.add_error(name, f"This {describe(dict(fault))}.")
        if not self.instance._state.adding and cleaned.get("seen_version") != self.instance.version:
            raise ValidationError(self._told_of_newer(cleaned.get("seen_version")), code="newer")
        return cleaned

    def _told_of_newer(self, seen: int | None) -> str:
        text = (
            "Nothing was saved: this is at version {} now, and you were editing version {}. "
            '<a href="">Open version {}</a> in another tab, and repeat your changes there.'
        )
        return format_html(text, self.instance.version, seen or "?", self.instance.version)


class ResourceAdmin(ExportableAdmin):
    """What a resource's own admin adds: `form`, `list_display`, its fields in `content`, `store`, and `to_json`."""

    content: ClassVar[tuple[str, ...]]
    readonly_fields = ("id", "version", "created_at", "updated_at")
    autocomplete_fields = ("owner",)
    ordering = ("-created_at", "-id")
    sortable_by = ("name", "created_at", "updated_at")
    date_hierarchy = "created_at"
    object_history_template = "admin/resource_history.html"
    search_fields = ("id", "name")
    search_help_text = "An id, or how a name begins (upper and lower case count)"

    def store(self, found: Any, new: Any) -> None:
        """Stores the change of an object that the transaction has locked, as the API's service does."""
        raise NotImplementedError

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("owner")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """When a form comes in, locked: until its change commits nobody else changes it."""
        rows, uuid = self.get_queryset(request), _as_uuid(object_id)
        if request.method == "POST":
            rows = rows.select_for_update()
        return None if uuid is None else rows.filter(pk=uuid).first()

    def get_fieldsets(self, request: HttpRequest, obj: Resource | None = None) -> Any:
        is_shown_only = obj is not None and not self.has_change_permission(request, obj)
        content = tuple(map(self._shown, self.content)) if is_shown_only else self.content
        system = (user_column(request, "owner"), *self.readonly_fields, "seen_version") if obj else ("owner",)
        return ((None, {"fields": content}), ("System", {"fields": system}))

    def get_list_display(self, request: HttpRequest) -> Any:
        return [user_column(request, "owner") if name == "owner" else name for name in self.list_display]

    def _shown(self, name: str) -> Any:
        """What shows a field that cannot be changed: JSON is shown as JSON."""
        if not isinstance(self.model._meta.get_field(name), JSONTextField):
            return name

        @admin.display(description=name)
        def show(found: Any) -> str:
            return format_html('<pre class="json">{}</pre>', JSONFormField().prepare_value(getattr(found, name)))

        return show

    def get_readonly_fields(self, request: HttpRequest, obj: Resource | None = None) -> Any:
        return (*self.readonly_fields, user_column(request, "owner")) if obj else self.readonly_fields

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"owner": request.user.pk, **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            obj.save()
        elif form.changed_data:
            self.store(obj, form.checked)
            turn_on_commit()

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """Django's, which names the fields, with what they were and have become."""
        message: Any = super().construct_change_message(request, form, formsets, add)
        record_values(message, form, version=None if add else form.initial["seen_version"] + 1)
        return message

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[QuerySet[Any], bool]:
        """By id, or by a walk along the names."""
        term = search_term.strip()
        if not term:
            return queryset, False
        if (uuid := _as_uuid(term)) is not None:
            return queryset.filter(pk=uuid), False
        if connection.vendor == "sqlite":
            found = queryset.filter(name__gte=term, name__lt=term + _LAST_CHARACTER)
        else:
            found = queryset.filter(name__startswith=term)
        return found if is_sorted_by_user(request) else found.order_by("name", "pk"), False


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
