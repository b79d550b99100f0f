"""A user, on the pages of what belongs to them."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html


def user_column(request: HttpRequest, field: str) -> Callable[[Any], str]:
    """What shows a row's user: the e-mail, leading to the account; the id alone to those who may not see accounts.

    The same function each time, as the admin compares those that it is given for a page.
    """
    opts = get_user_model()._meta
    user: Any = request.user
    verbs = ("view", "change")
    return _column(field, any(user.has_perm(f"{opts.app_label}.{verb}_{opts.model_name}") for verb in verbs))


@cache
def _column(field: str, may_see: bool) -> Callable[[Any], str]:
    opts = get_user_model()._meta
    view = f"admin:{opts.app_label}_{opts.model_name}_change"

    @admin.display(description=field)
    def show(row: Any) -> str:
        if not may_see:
            return str(getattr(row, f"{field}_id"))
        one = getattr(row, field)
        return format_html('<a href="{}">{}</a>', reverse(view, args=[one.pk]), one)

    return show
