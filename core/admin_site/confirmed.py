"""Actions on selected rows that ask for confirmation on a separate page."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.admin.options import ActionLocation
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse

# Offer an action on lists and on the page of one object.
EVERYWHERE = [ActionLocation.CHANGE_LIST, ActionLocation.CHANGE_FORM]

MAX_NAMED = 100
# Django's fields of the action form, which the confirmation sends again. On an object's page the action has a prefix.
_ACTION_FIELDS = ("_selected_action", "action", "select_across", "index")

type Action = Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponseBase | None]
type Narrow = Callable[[HttpRequest, QuerySet[Any]], QuerySet[Any]]


def confirmed(*, question: str, consequence: str, only: Narrow, none: str) -> Callable[[Action], Action]:
    """Ask before the action runs on the selected rows that `only` keeps. If it keeps no row, a message says `none`."""

    def decorate(action: Action) -> Action:
        @wraps(action)
        def ask_first(admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
            chosen = only(request, queryset)
            if not chosen.exists():
                admin.message_user(request, f"Nothing was done: {none}.", messages.WARNING)
                return None
            if "post" in request.POST:
                return action(admin, request, chosen)
            context = {"title": question, "consequence": consequence, "skipped": queryset.count() - chosen.count()}
            return _confirmation_page(admin, request, chosen, context)

        return ask_first

    return decorate


def _confirmation_page(
    admin: Any, request: HttpRequest, chosen: QuerySet[Any], context: dict[str, Any]
) -> HttpResponseBase:
    count = chosen.count()
    action_fields = [
        (name, value)
        for name in request.POST
        if name.rpartition("-")[2] in _ACTION_FIELDS
        for value in request.POST.getlist(name)
    ]
    context = {
        **admin.admin_site.each_context(request),
        **context,
        "subtitle": None,
        "opts": admin.opts,
        "media": admin.media,
        "count": count,
        "chosen": chosen[:MAX_NAMED],
        "more": max(0, count - MAX_NAMED),
        "action_fields": action_fields,
    }
    return TemplateResponse(request, "admin/confirm_action.html", context)


def counted(count: int, one: str, many: str) -> str:
    """Return the count and the matching wording, such as `1 session has ended` or `2 sessions have ended`."""
    return f"{count:,} {one if count == 1 else many}"
