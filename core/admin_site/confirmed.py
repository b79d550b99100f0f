"""Actions on chosen rows that ask before they act, on a page that says what will happen to what."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.admin.options import ActionLocation
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse

EVERYWHERE = [ActionLocation.CHANGE_LIST, ActionLocation.CHANGE_FORM]
"""Where such actions are offered: on lists, and on the page of one object."""

# So many are named on the page.
MOST_SHOWN = 100
# What of the first form comes again with the answer; Django's names, one of them with a prefix of the page's.
_SENT_AGAIN = ("_selected_action", "action", "select_across", "index")

type Action = Callable[[Any, HttpRequest, QuerySet[Any]], HttpResponseBase | None]
type Narrow = Callable[[HttpRequest, QuerySet[Any]], QuerySet[Any]]


def confirmed(*, question: str, consequence: str, only: Narrow, none: str) -> Callable[[Action], Action]:
    """Has the action carried out after a yes, for those of the chosen that `only` leaves.

    `question` and `consequence` are for the page, `none` is told when nothing is left.
    """

    def decorate(action: Action) -> Action:
        @wraps(action)
        def ask_first(admin: Any, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
            chosen = only(request, queryset)
            if not chosen.exists():
                admin.message_user(request, f"Nothing was done: {none}.", messages.WARNING)
                return None
            if "post" in request.POST:
                return action(admin, request, chosen)
            told = {"question": question, "consequence": consequence}
            return _ask(admin, request, chosen, left_out=queryset.count() - chosen.count(), told=told)

        return ask_first

    return decorate


def _ask(
    admin: Any, request: HttpRequest, chosen: QuerySet[Any], *, left_out: int, told: dict[str, str]
) -> HttpResponseBase:
    count = chosen.count()
    again = [
        (name, value)
        for name in request.POST
        if name.rpartition("-")[2] in _SENT_AGAIN
        for value in request.POST.getlist(name)
    ]
    context = {
        **admin.admin_site.each_context(request),
        "title": told["question"],
        "subtitle": None,
        "opts": admin.opts,
        "media": admin.media,
        **told,
        "count": count,
        "chosen": chosen[:MOST_SHOWN],
        "more": max(0, count - MOST_SHOWN),
        "left_out": left_out,
        "sent_again": again,
    }
    return TemplateResponse(request, "admin/confirm_action.html", context)


def counted(count: int, one: str, many: str) -> str:
    """`1 session has ended`, `2 sessions have ended`."""
    return f"{count:,} {one if count == 1 else many}"
