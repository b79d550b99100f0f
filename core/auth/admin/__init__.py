"""Accounts in the admin: users, where they are logged in, their keys, and the record of what happened to them."""

from django.contrib import admin

from core.auth.admin import access, events, groups, users
from core.auth.forms import LogInForm

__all__ = ["access", "events", "groups", "users"]

admin.site.login_form = LogInForm
