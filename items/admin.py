"""Items in the admin."""

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextareaWidget, AdminTextInputWidget

from core.admin_site.export_formats import Row
from core.admin_site.resources import JSONFormField, ResourceAdmin, ResourceForm
from items import services
from items.models import Item
from items.schemas import ItemIn


class ItemForm(ResourceForm):
    """What of an item can be set."""

    schema = ItemIn
    name = forms.CharField(strip=False, widget=AdminTextInputWidget)
    description = forms.CharField(strip=False, required=False, widget=AdminTextareaWidget)
    metadata = JSONFormField(initial=dict, required=False, help_text="A JSON object of at most 16 KiB and 16 levels.")


@admin.register(Item)
class ItemAdmin(ResourceAdmin):
    """Items: an edit here is a change like one by the API."""

    form = ItemForm
    content = ("name", "description", "status", "metadata")
    list_display = ("name", "status", "owner", "version", "created_at", "updated_at")
    list_filter = ("status", ("created_at", admin.DateFieldListFilter))

    def to_json(self, row: Row) -> bytes:
        return services.store.representer.to_json(row)

    def store(self, found: Item, new: ItemIn) -> None:
        row = services.store.lock(found.pk)
        if row is not None:
            services.store.store_change(row, new)
