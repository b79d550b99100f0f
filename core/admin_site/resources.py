"""The admin of resources, with the API's rules: the same schema, store, versions and JSON."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ORDER_VAR
from django.db import connection, models
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from core.admin_site.changes import record_values
from core.admin_site.exportable import ExportableAdmin
from core.admin_site.resource_form import JSONFormField, JSONTextArea, ResourceForm
from core.admin_site.user_column import user_column
from core.database.fields import JSONTextField
from core.resources.cache.epoch import turn_on_commit
from core.resources.model import Resource

# Every text that starts with a prefix sorts before the prefix followed by this character.
_LAST_CHARACTER = "\U0010ffff"


class ResourceAdmin(ExportableAdmin):
    """The admin of a resource. A subclass sets `store` and `list_display`:

        @admin.register(Item)
        class ItemAdmin(ResourceAdmin):
            store = services.store
            list_display = ("name", "status", "owner", "version", "created_at")

    A new field of the model and the schema needs no edit here: the form, the history and the exports include it.
    `content` selects and orders the form's fields, and a field declared in `form` replaces a generated field.
    """

    form = ResourceForm
    content: ClassVar[tuple[str, ...]] = ()
    formfield_overrides = {
        # The schema trims text and checks its length, with the same messages as the API.
        models.CharField: {"strip": False, "max_length": None},
        models.TextField: {"strip": False, "max_length": None},
        # Django would add a hidden copy of the value, because the default is a function.
        JSONTextField: {"form_class": JSONFormField, "widget": JSONTextArea, "show_hidden_initial": False},
    }
    readonly_fields = ("id", "version", "created_at", "updated_at")
    autocomplete_fields = ("owner",)
    ordering = ("-created_at", "-id")
    sortable_by = ("name", "created_at", "updated_at")
    date_hierarchy = "created_at"
    object_history_template = "admin/resource_history.html"
    search_fields = ("id", "name")
    search_help_text = "An id, or the beginning of a name (case-sensitive)"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("owner")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Find the object. A POST locks its row until the transaction ends, so that no other change comes between."""
        rows, uuid = self.get_queryset(request), _as_uuid(object_id)
        if request.method == "POST":
            rows = rows.select_for_update()
        return None if uuid is None else rows.filter(pk=uuid).first()

    def get_fieldsets(self, request: HttpRequest, obj: Resource | None = None) -> Any:
        is_read_only = obj is not None and not self.has_change_permission(request, obj)
        content = self.content or tuple(self.store.content.model_fields)
        if is_read_only:
            content = tuple(map(self._read_only, content))
        system = (user_column(request, "owner"), *self.readonly_fields, "seen_version") if obj else ("owner",)
        return ((None, {"fields": content}), ("System", {"fields": system}))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **options)
        form.schema = self.store.content
        return form

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        described = self.store.content.model_fields.get(db_field.name)
        if described is not None and described.description:
            options["help_text"] = described.description
        return super().formfield_for_dbfield(db_field, request, **options)

    def get_list_display(self, request: HttpRequest) -> Any:
        return [user_column(request, "owner") if name == "owner" else name for name in self.list_display]

    def _read_only(self, name: str) -> Any:
        if not isinstance(self.model._meta.get_field(name), JSONTextField):
            return name

        @admin.display(description=name)
        def show(obj: Any) -> str:
            return format_html('<pre class="json">{}</pre>', JSONFormField().prepare_value(getattr(obj, name)))

        return show

    def get_readonly_fields(self, request: HttpRequest, obj: Resource | None = None) -> Any:
        return (*self.readonly_fields, user_column(request, "owner")) if obj else self.readonly_fields

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"owner": request.user.pk, **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            obj.save()
        elif form.changed_data and (row := self.store.lock(obj.pk)) is not None:
            self.store.store_change(row, form.checked)
            turn_on_commit()

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        message: Any = super().construct_change_message(request, form, formsets, add)
        record_values(message, form, version=None if add else form.initial["seen_version"] + 1)
        return message

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if (uuid := _as_uuid(term)) is not None:
            return queryset.filter(pk=uuid), False
        if connection.vendor == "sqlite":
            found = queryset.filter(name__gte=term, name__lt=term + _LAST_CHARACTER)
        else:
            found = queryset.filter(name__startswith=term)
        return found if ORDER_VAR in request.GET else found.order_by("name", "pk"), False


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
