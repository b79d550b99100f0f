"""manage.py token EMAIL"""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from core.auth import audit, sessions
from core.auth.audit import Event
from core.auth.caller import UNKNOWN_CALLER
from core.auth.emails import canonical_email
from core.auth.models import User

USER_AGENT = "manage.py token"


class Command(BaseCommand):
    help = "Print an access token of a user, for scripts. The user's sessions list it, and the user can end it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--ttl", type=int, help="lifetime in seconds (default: ACCESS_TOKEN_TTL)")

    def handle(self, *_: Any, email: str, ttl: int | None, **__: Any) -> None:
        ttl_seconds = settings.ACCESS_TOKEN_TTL if ttl is None else ttl
        if not 1 <= ttl_seconds <= settings.REFRESH_TOKEN_ABSOLUTE_TTL:
            raise CommandError(f"--ttl must be from 1 to {settings.REFRESH_TOKEN_ABSOLUTE_TTL} seconds")
        self.stdout.write(_make_token(email, ttl_seconds))


@transaction.atomic
def _make_token(email: str, ttl_seconds: int) -> str:
    user = User.objects.select_for_update().filter(email=canonical_email(email)).first()
    if user is None:
        raise CommandError(f"there is no user with the e-mail {email}")
    if not user.is_active:
        raise CommandError(f"the user {email} is not active")
    caller = UNKNOWN_CALLER._replace(user_agent=USER_AGENT)
    session, token = sessions.begin_session_without_refreshing(user, caller, ttl_seconds=ttl_seconds)
    # Recorded in the table only: a log line would mix with the token on stdout.
    audit.record(Event.TOKEN_MADE, caller, user_id=user.id, session_id=session.id)
    return token
