"""/v1/auth: parse, call the services, answer. Every answer here is about somebody and is not to be stored."""

from ninja import Router

from core.auth.api import accounts, api_keys, login, sessions

router = Router()
for part in (login, accounts, sessions, api_keys):
    router.add_router("", part.router)

__all__ = ["router"]
