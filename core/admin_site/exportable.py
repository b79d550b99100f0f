"""Lists with links and actions that export their rows."""

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
from core.admin_site.export_formats import CSVFormat, Format, JSONFormat
from core.admin_site.large_tables import LargeTableAdmin
from core.resources.store import Store


class ExportableAdmin(LargeTableAdmin):
    """The admin of a resource's model. Staff who may view the list may export it."""

    store: Store[Any]
    change_list_template = "admin/exportable_list.html"
    actions = ("export_csv", "export_json")
    unbounded_actions = actions

    def get_urls(self) -> list[Any]:
        model = f"{self.opts.app_label}_{self.opts.model_name}"
        exports = []
        for suffix in ("csv", "json"):
            view = self.admin_site.admin_view(require_GET(partial(self._export_list, suffix=suffix)))
            exports.append(path(f"export.{suffix}", view, name=f"{model}_export_{suffix}"))
        return exports + super().get_urls()

    def _export_list(self, request: HttpRequest, *, suffix: str) -> HttpResponseBase:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            rows: Any = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:
            view = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
            return HttpResponseRedirect(f"{reverse(view)}?e=1")
        return self._export(request, rows, suffix, selection=_list_description(request))

    def _export_selected(self, request: HttpRequest, rows: QuerySet[Any], suffix: str) -> HttpResponseBase:
        if request.POST.get("select_across") == "1":
            selection = _list_description(request)
        else:
            selection = f"{len(request.POST.getlist(ACTION_CHECKBOX_NAME))} selected"
        return self._export(request, rows, suffix, selection=selection)

    def _export(self, request: HttpRequest, rows: Any, suffix: str, *, selection: str) -> HttpResponseBase:
        form: Format = CSVFormat(rows) if suffix == "csv" else JSONFormat(self.store.representer.to_json)
        return export(request, rows, form, selection=selection)

    @admin.action(description="Export selected %(verbose_name_plural)s as CSV", permissions=["view"])
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase:
        return self._export_selected(request, queryset, "csv")

    @admin.action(description="Export selected %(verbose_name_plural)s as JSON", permissions=["view"])
    def export_json(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase:
        return self._export_selected(request, queryset, "json")


def _list_description(request: HttpRequest) -> str:
    filters = urlencode(list(request.GET.items()))
    return f"filtered by {filters}" if filters else "all"
