"""Forms of the admin for accounts."""

import math
from typing import Any, ClassVar

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import BaseUserCreationForm
from django.core.exceptions import ValidationError

from core.auth.emails import canonical_email
from core.auth.models import User
from core.http.problems import AccountLocked


class LogInForm(AdminAuthenticationForm):
    """Says when an account is locked, and for how long."""

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
                f"Too many failed log-ins for this account. Try again in {minutes} min.", code="locked"
            ) from None


class NewUserForm(BaseUserCreationForm):  # type: ignore[type-arg]
    """A new user has an e-mail and a password; the rest is set on the next page."""

    class Meta:
        model = User
        fields: ClassVar[list[str]] = ["email"]

    def clean_email(self) -> str:
        return canonical_email(self.cleaned_data["email"])
