"""The user that a row belongs to, on lists and pages of the admin."""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html


def user_column(request: HttpRequest, field: str) -> Callable[[Any], str]:
    """Return the column of a row's user: a link to the account, or only the id without permission to view users."""
    opts = get_user_model()._meta
    user: Any = request.user
    verbs = ("view", "change")
    return _column(field, any(user.has_perm(f"{opts.app_label}.{verb}_{opts.model_name}") for verb in verbs))


# The admin compares the columns of a page, so each call must return the same function.
@cache
def _column(field: str, may_view: bool) -> Callable[[Any], str]:
    opts = get_user_model()._meta
    view = f"admin:{opts.app_label}_{opts.model_name}_change"

    @admin.display(description=field)
    def show(row: Any) -> str:
        if not may_view:
            return str(getattr(row, f"{field}_id"))
        user = getattr(row, field)
        return format_html('<a href="{}">{}</a>', reverse(view, args=[user.pk]), user)

    return show
