"""Items in the admin."""

from django.contrib import admin

from core.admin_site.resources import ResourceAdmin
from items import services
from items.models import Item


@admin.register(Item)
class ItemAdmin(ResourceAdmin):
    store = services.store
    list_display = ("name", "status", "owner", "version", "created_at", "updated_at")
    list_filter = ("status", ("created_at", admin.DateFieldListFilter))
