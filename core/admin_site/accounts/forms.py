"""The admin's forms for logging in and for adding users."""

import math
from typing import Any, ClassVar

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import BaseUserCreationForm
from django.core.exceptions import ValidationError

from core.auth.emails import canonical_email
from core.auth.models import User
from core.http.problems import AccountLocked


class LoginForm(AdminAuthenticationForm):
    """Shows when an account is locked, and for how long."""

    error_messages = {
        **AdminAuthenticationForm.error_messages,
        "invalid_login": "Please enter the correct e-mail and password for a staff account.",
    }

    def clean(self) -> dict[str, Any]:
        try:
            return super().clean()
        except AccountLocked as locked:
            minutes = math.ceil(int(locked.headers["Retry-After"]) / 60)
            raise ValidationError(
                f"Too many failed logins for this account. Try again in {minutes} min.", code="locked"
            ) from None


class NewUserForm(BaseUserCreationForm):  # type: ignore[type-arg]
    """Asks for e-mail and password. The next page has the other fields."""

    class Meta:
        model = User
        fields: ClassVar[list[str]] = ["email"]

    def clean_email(self) -> str:
        return canonical_email(self.cleaned_data["email"])
