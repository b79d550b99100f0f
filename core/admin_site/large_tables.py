"""Lists of the admin that stay fast with a million rows: no page counts, sorts or groups a whole table."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cached_property, partial
from types import SimpleNamespace
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.admin.templatetags.admin_list import date_hierarchy
from django.contrib.admin.views.main import ALL_VAR, PAGE_VAR, ChangeList
from django.core.paginator import Paginator
from django.db import models, transaction
from django.http import HttpRequest, HttpResponse

logger = logging.getLogger("agent_router.admin")

# The pages of a list end here. Staff find later rows with filters.
MAX_COUNTED_ROWS = 10_000
# An action's confirmation page and log entries name each row.
MAX_SELECTED = 1_000


class BoundedPaginator(Paginator):  # type: ignore[type-arg]
    @cached_property
    def _counted(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[: MAX_COUNTED_ROWS + 1].count())

    @cached_property
    def count(self) -> int:
        return min(self._counted, MAX_COUNTED_ROWS)

    @property
    def count_text(self) -> str:
        return f"More than {MAX_COUNTED_ROWS:,}" if self._counted > MAX_COUNTED_ROWS else f"{self.count:,}"


class IndexedChangeList(ChangeList):
    """Sorts by one column and then by the primary key in the same direction, as the indexes do."""

    def get_ordering(self, request: HttpRequest, queryset: models.QuerySet[Any]) -> list[Any]:
        first = str(super().get_ordering(request, queryset)[0])
        return [first] if first in ("pk", "-pk") else [first, "-pk" if first.startswith("-") else "pk"]

    def get_filters(self, request: HttpRequest) -> Any:
        """Return all filters except the period of the date hierarchy, which `get_queryset` applies."""
        found: Any = super().get_filters(request)
        specs, has_filters, lookups, *rest = found
        names = [f"{self.date_hierarchy}__{bound}" for bound in ("gte", "lt")]
        self._period = {name: lookups.pop(name)[-1] for name in names if name in lookups}
        return specs, has_filters, lookups, *rest

    def get_queryset(self, request: HttpRequest, *arguments: Any, **options: Any) -> models.QuerySet[Any]:
        self._of_any_date = super().get_queryset(request, *arguments, **options)
        return self._of_any_date.filter(**self._period)

    def whole_query_string(self) -> str:
        return self.get_query_string(remove=[PAGE_VAR, ALL_VAR])

    def dates(self) -> dict[str, Any]:
        if self.query:
            return {}
        change_list: Any = SimpleNamespace(
            date_hierarchy=self.date_hierarchy,
            model=self.model,
            params=self.params,
            queryset=_IndexedDates(self._of_any_date, self.date_hierarchy, self._period),
            get_query_string=self.get_query_string,
        )
        return date_hierarchy(change_list) or {}


class _IndexedDates:
    """The two queryset methods that Django's date hierarchy calls. A queryset would read every row of a year."""

    def __init__(self, rows: models.QuerySet[Any], field: str, period: dict[str, datetime]) -> None:
        self._rows, self._field, self._period = rows, field, period

    def aggregate(self, **_: Any) -> dict[str, datetime | None]:
        return {"first": self._first(self._rows), "last": self._first(self._rows, "-")}

    def datetimes(self, field: str, kind: str) -> list[datetime]:
        """Return the start of each day, month or year with a row. Each period takes one step along the index."""
        starts = []
        lower, upper = f"{self._field}__gte", f"{self._field}__lt"
        before_end = {upper: self._period[upper]} if upper in self._period else {}
        moment = self._first(self._rows.filter(**self._period))
        while moment is not None:
            start, next_start = _bounds(moment, kind)
            starts.append(start)
            # Without the period's own lower bound, because SQLite starts its walk at the first bound of a column.
            moment = self._first(self._rows.filter(**{lower: next_start}, **before_end))
        return starts

    def _first(self, rows: models.QuerySet[Any], sign: str = "") -> datetime | None:
        return rows.order_by(f"{sign}{self._field}").values_list(self._field, flat=True).first()


def _bounds(moment: datetime, kind: str) -> tuple[datetime, datetime]:
    """Return the start of the day, month or year around the moment, and the start of the next period."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "day":
        return day, day + timedelta(days=1)
    if kind == "month":
        month = day.replace(day=1)
        return month, (month + timedelta(days=32)).replace(day=1)
    year = day.replace(month=1, day=1)
    return year, year.replace(year=year.year + 1)


class LargeTableAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The admin of a model with many rows. Each field in `sortable_by` and `date_hierarchy` must have an index.

    Django records changes only in the database. This admin also logs a line for each change, without its values.
    """

    change_list_template = "admin/large_table.html"
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 200
    list_select_related = False
    unbounded_actions: tuple[str, ...] = ()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Refuse filters on secrets: a filter by prefix would reveal a secret letter by letter."""
        is_secret = any(word in lookup for word in ("password", "digest"))
        return not is_secret and super().lookup_allowed(lookup, value, request)

    def get_changelist(self, request: HttpRequest, **_: Any) -> type[ChangeList]:
        return IndexedChangeList

    def response_action(
        self, request: HttpRequest, queryset: models.QuerySet[Any], *arguments: Any, **options: Any
    ) -> HttpResponse | None:
        is_bounded = not set(request.POST.getlist("action")) & set(self.unbounded_actions)
        is_across = request.POST.get("select_across") == "1"
        if is_bounded and is_across and queryset[: MAX_SELECTED + 1].count() > MAX_SELECTED:
            message = f"Nothing was done: you can select at most {MAX_SELECTED:,} rows. Filter the list first."
            self.message_user(request, message, messages.ERROR)
            return None
        response: HttpResponse | None = super().response_action(request, queryset, *arguments, **options)
        return response

    def log_addition(self, *arguments: Any, **options: Any) -> Any:
        return _log_entries(super().log_addition(*arguments, **options))

    def log_change(self, *arguments: Any, **options: Any) -> Any:
        return _log_entries(super().log_change(*arguments, **options))

    def log_deletions(self, *arguments: Any, **options: Any) -> Any:
        return _log_entries(super().log_deletions(*arguments, **options))


def _log_entries(logged: Any) -> Any:
    entries: Iterable[LogEntry] = [logged] if isinstance(logged, LogEntry) else logged
    for entry in entries:
        fields = {
            "user_id": str(entry.user_id),
            "action": entry.get_action_flag_display().lower(),
            "model": f"{entry.content_type.app_label}.{entry.content_type.model}" if entry.content_type else "",
            "object_id": str(entry.object_id),
        }
        transaction.on_commit(partial(logger.info, "Changed in the admin", extra=fields))
    return logged
