"""Lists of items: the filters of a query."""

from django.db.models.lookups import Exact, GreaterThan, In, LessThan

from core.resources.lists.listing import Listing
from core.resources.lists.statements import SEARCH, Filter
from items.models import Item

FILTERS = {
    "status": Filter("status", In),
    "name": Filter("name", Exact),
    "q": SEARCH,
    "created_after": Filter("created_at", GreaterThan),
    "created_before": Filter("created_at", LessThan),
    "updated_after": Filter("updated_at", GreaterThan),
    "updated_before": Filter("updated_at", LessThan),
}

item_list = Listing("items", Item, filters=FILTERS)
