"""Lists with buttons and actions to export them."""

from functools import partial
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import path, reverse
from django.views.decorators.http import require_GET

from core.admin_site.export import export
from core.admin_site.export_formats import Row, csv_format, json_format
from core.admin_site.large_tables import LargeTableAdmin


class ExportableAdmin(LargeTableAdmin):
    """For the models of resources. Whoever may see the list may export it."""

    change_list_template = "admin/exportable_list.html"
    actions = ("export_csv", "export_json")
    unbounded_actions = actions

    def to_json(self, row: Row) -> bytes:
        """A row of `as_rows` as the API answers it."""
        raise NotImplementedError

    def get_urls(self) -> list[Any]:
        """With a download for each format, which takes the list's own parameters."""
        model = f"{self.opts.app_label}_{self.opts.model_name}"
        views = [(suffix, require_GET(partial(self._export_list, suffix=suffix))) for suffix in ("csv", "json")]
        return [
            path(f"export.{suffix}", self.admin_site.admin_view(view), name=f"{model}_export_{suffix}")
            for suffix, view in views
        ] + super().get_urls()

    def _export_list(self, request: HttpRequest, *, suffix: str) -> HttpResponseBase:
        """All that the list would show on its pages."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            rows: Any = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:
            view = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
            return HttpResponseRedirect(f"{reverse(view)}?e=1")
        return self._export(request, rows, suffix, chosen_by=_told_of(request))

    def _export_selected(self, request: HttpRequest, rows: QuerySet[Any], suffix: str) -> HttpResponseBase:
        is_across = request.POST.get("select_across") == "1"
        count = len(request.POST.getlist(ACTION_CHECKBOX_NAME))
        return self._export(request, rows, suffix, chosen_by=_told_of(request) if is_across else f"{count} selected")

    def _export(self, request: HttpRequest, rows: Any, suffix: str, *, chosen_by: str) -> HttpResponseBase:
        form = csv_format(rows) if suffix == "csv" else json_format(self.to_json)
        return export(request, rows, form, chosen_by=chosen_by)

    @admin.action(description="Export selected %(verbose_name_plural)s as CSV", permissions=["view"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase:
        """For spreadsheets."""
        return self._export_selected(request, queryset, "csv")

    @admin.action(description="Export selected %(verbose_name_plural)s as JSON", permissions=["view"])
    def export_json(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase:
        """For programs."""
        return self._export_selected(request, queryset, "json")


def _told_of(request: HttpRequest) -> str:
    """For the audit log, which rows a list has found."""
    filters = urlencode(list(request.GET.items()))
    return f"those of {filters}" if filters else "all"
