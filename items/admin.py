"""Items in the admin."""

from django.contrib import admin

from core.admin_site.export_formats import Row
from core.admin_site.resources import ResourceAdmin, ResourceForm
from items import services
from items.models import Item
from items.schemas import ItemIn


class ItemForm(ResourceForm):
    schema = ItemIn


@admin.register(Item)
class ItemAdmin(ResourceAdmin):
    form = ItemForm
    list_display = ("name", "status", "owner", "version", "created_at", "updated_at")
    list_filter = ("status", ("created_at", admin.DateFieldListFilter))

    def to_json(self, row: Row) -> bytes:
        return services.store.representer.to_json(row)

    def store(self, found: Item, new: ItemIn) -> None:
        row = services.store.lock(found.pk)
        if row is not None:
            services.store.store_change(row, new)
