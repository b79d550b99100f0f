"""Lists of items: what they are narrowed down by."""

from django.db.models.lookups import Exact, GreaterThan, In, LessThan

from core.resources.lists.listing import SEARCH, Filter, Listing
from items.models import Item, ItemQuerySet
from items.representation import item_document

FILTERS = {
    "status": Filter("status", In),
    "name": Filter("name", Exact),
    "q": SEARCH,
    "created_after": Filter("created_at", GreaterThan),
    "created_before": Filter("created_at", LessThan),
    "updated_after": Filter("updated_at", GreaterThan),
    "updated_before": Filter("updated_at", LessThan),
}

item_list = Listing("items", ItemQuerySet(Item), filters=FILTERS, to_document=item_document)
