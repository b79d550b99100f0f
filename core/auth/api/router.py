"""The router of /v1/auth."""

from ninja import Router

from core.auth.api import accounts, api_keys, login, sessions

router = Router()
for module in (login, accounts, sessions, api_keys):
    router.add_router("", module.router)
