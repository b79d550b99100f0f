"""Lists of the admin that stay quick with a million rows: nothing on them counts, sorts or groups a whole table."""

from datetime import datetime, timedelta
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.templatetags.admin_list import date_hierarchy
from django.contrib.admin.views.main import ALL_VAR, ORDER_VAR, PAGE_VAR, ChangeList
from django.core.paginator import Paginator
from django.db import models
from django.http import HttpRequest, HttpResponse

from core.admin_site.logged import LoggedAdmin

# Rows beyond these are found by filters, not by turning pages.
MOST_ROWS = 10_000
# What an action takes at once: its page names each of them.
MOST_SELECTED = 1_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than MOST_ROWS."""

    @cached_property
    def _counted(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: MOST_ROWS + 1].count())

    @cached_property
    def count(self) -> int:
        """How many there are, or MOST_ROWS if there are more."""
        return min(self._counted, MOST_ROWS)

    @property
    def count_text(self) -> str:
        """The count for people."""
        return f"More than {MOST_ROWS:,}" if self._counted > MOST_ROWS else f"{self.count:,}"


class IndexedChangeList(ChangeList):
    """Sorts by one column and then by the primary key in the same direction, as indexes do."""

    def get_ordering(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> list[Any]:
        first = str(super().get_ordering(request, queryset)[0])
        return [first] if first in ("pk", "-pk") else [first, "-pk" if first.startswith("-") else "pk"]

    def get_filters(self, request: HttpRequest) -> Any:
        """All but the period that is chosen in the date hierarchy, which `get_queryset` adds."""
        found: Any = super().get_filters(request)
        specs, has_filters, lookups, *rest = found
        names = [f"{self.date_hierarchy}__{bound}" for bound in ("gte", "lt")]
        self._period = {name: lookups.pop(name)[-1] for name in names if name in lookups}
        return specs, has_filters, lookups, *rest

    def get_queryset(self, request: HttpRequest, *arguments: Any, **options: Any) -> models.QuerySet[Any]:
        self._of_any_date = super().get_queryset(request, *arguments, **options)
        return self._of_any_date.filter(**self._period)

    def whole_query_string(self) -> str:
        """The URL's query for all pages: filters, search and order."""
        return self.get_query_string(remove=[PAGE_VAR, ALL_VAR])

    def dates(self) -> dict[str, Any]:
        """What the template of the date hierarchy shows, found by steps along the index; nothing in a search."""
        if self.query:
            return {}
        seen: Any = SimpleNamespace(
            date_hierarchy=self.date_hierarchy,
            model=self.model,
            params=self.params,
            queryset=_Steps(self._of_any_date, self.date_hierarchy, self._period),
            get_query_string=self.get_query_string,
        )
        return date_hierarchy(seen) or {}


class _Steps:
    """As much of a queryset as Django's date hierarchy asks for. Its own would look at every row of a year."""

    def __init__(self, rows: models.QuerySet[Any], field: str, period: dict[str, datetime]) -> None:
        self._rows, self._field, self._period = rows, field, period

    def aggregate(self, **_: Any) -> dict[str, datetime | None]:
        return {"first": self._first(self._rows), "last": self._first(self._rows, "-")}

    def datetimes(self, field: str, kind: str) -> list[datetime]:
        """The beginning of each day, month or year in which there is a row."""
        found = []
        lower, upper = f"{self._field}__gte", f"{self._field}__lt"
        before = {upper: self._period[upper]} if upper in self._period else {}
        moment = self._first(self._rows.filter(**self._period))
        while moment is not None:
            begin = moment.replace(hour=0, minute=0, second=0, microsecond=0)
            begin = begin.replace(day=1) if kind in ("month", "year") else begin
            begin = begin.replace(month=1) if kind == "year" else begin
            found.append(begin)
            later = begin + timedelta(days={"day": 1, "month": 32, "year": 366}[kind])
            later = later if kind == "day" else later.replace(day=1)
            # One lower bound only: SQLite would begin its walk at the first that it is given.
            moment = self._first(self._rows.filter(**{lower: later}, **before))
        return found

    def _first(self, rows: models.QuerySet[Any], sign: str = "") -> datetime | None:
        return rows.order_by(f"{sign}{self._field}").values_list(self._field, flat=True).first()


class LargeTableAdmin(LoggedAdmin):
    """For models whose sortable columns each have an index. `sortable_by` and `date_hierarchy` name such only."""

    change_list_template = "admin/large_table.html"
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 200
    list_select_related = False
    unbounded_actions: tuple[str, ...] = ()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """A list that could be narrowed by how a secret begins would tell it, letter after letter."""
        is_secret = any(word in lookup for word in ("password", "digest"))
        return not is_secret and super().lookup_allowed(lookup, value, request)

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[ChangeList]:
        return IndexedChangeList

    def response_action(
        self, request: HttpRequest, queryset: models.QuerySet[Any], *arguments: Any, **options: Any
    ) -> HttpResponse | None:
        is_across = request.POST.get("select_across") == "1"
        if set(request.POST.getlist("action")) & set(self.unbounded_actions):
            is_across = False
        if is_across and queryset[: MOST_SELECTED + 1].count() > MOST_SELECTED:
            message = f"Nothing was done: at most {MOST_SELECTED:,} can be selected at once. Filter the list first."
            self.message_user(request, message, messages.ERROR)
            return None
        response: HttpResponse | None = super().response_action(request, queryset, *arguments, **options)
        return response


def is_sorted_by_hand(request: HttpRequest) -> bool:
    """Whether the user has chosen the column to sort by."""
    return ORDER_VAR in request.GET
