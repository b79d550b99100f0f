"""Routes of the account itself."""

from typing import Any

from django.http import HttpResponse
from ninja import Router

from core.api.contract import Failure, Success, documented
from core.api.headers import CACHE_CONTROL
from core.auth import accounts
from core.auth.api.login import NO_API_KEY
from core.auth.caller import caller_of
from core.auth.credentials.bearer import Bearer, principal_of
from core.auth.models import User
from core.auth.schemas import AccountIn, PasswordIn, RegisterIn, UserOut
from core.http.problems import AccountLocked, Conflict, Forbidden
from core.http.request import Request
from core.http.responses import NO_STORE, empty_response, json_response
from core.values import rfc3339

USER = {
    "id": "0199c0de-7a11-7000-8000-0000000000bb",
    "email": "ada@example.org",
    "created_at": "2026-01-31T12:00:00.000000Z",
}
ACCOUNT = Success(200, UserOut, headers=[CACHE_CONTROL], example=USER)
TAKEN = Failure(Conflict, "An account with this e-mail already exists.")
WRONG_PASSWORD = Failure(Forbidden, "The current password is wrong.")
LOCKED = Failure(AccountLocked, "The current password was wrong too often; failed logins count as well.")
CHANGED_MEANWHILE = Failure(Conflict, "Another request changed the account at the same time.")

router = Router(tags=["Accounts"])


@router.post(
    "/register",
    **documented(
        success=Success(201, UserOut, headers=[CACHE_CONTROL], example=USER),
        example={"email": "ada@example.org", "password": "Sturdy-horse-battery-9"},
        problems=[Failure(Forbidden, "Registration is closed (`REGISTRATION_OPEN=false`)."), TAKEN],
    ),
)
async def register(request: Request, body: RegisterIn) -> HttpResponse:
    """Register an account"""
    user = await accounts.register(body.email, body.password, caller_of(request))
    return json_response(_user(user), status=201, headers=NO_STORE)


@router.get("/me", auth=Bearer(), **documented(success=ACCOUNT, problems=[NO_API_KEY]))
async def get_account(request: Request) -> HttpResponse:
    """Show the account"""
    return json_response(_user(await accounts.get_account(principal_of(request))), headers=NO_STORE)


@router.patch(
    "/me",
    auth=Bearer(),
    **documented(
        success=ACCOUNT,
        example={"email": "ada@example.org", "current_password": "Sturdy-horse-battery-9"},
        problems=[NO_API_KEY, WRONG_PASSWORD, TAKEN, CHANGED_MEANWHILE, LOCKED],
    ),
)
async def change_account(request: Request, body: AccountIn) -> HttpResponse:
    """Change the e-mail address"""
    caller = caller_of(request)
    user = await accounts.change_email(principal_of(request), body.email, body.current_password, caller)
    return json_response(_user(user), headers=NO_STORE)


@router.delete("/me", auth=Bearer(), **documented(success=Success(204), problems=[NO_API_KEY]))
async def delete_account(request: Request) -> HttpResponse:
    """Delete the account

    Its items, sessions and API keys are deleted, too. This cannot be undone.
    """
    await accounts.delete_account(principal_of(request), caller_of(request))
    return empty_response(headers=NO_STORE)


@router.post(
    "/password",
    auth=Bearer(),
    **documented(
        success=Success(204),
        example={"current_password": "Sturdy-horse-battery-9", "new_password": "Another-sturdy-horse-8"},
        problems=[NO_API_KEY, WRONG_PASSWORD, CHANGED_MEANWHILE, LOCKED],
    ),
)
async def change_password(request: Request, body: PasswordIn) -> HttpResponse:
    """Change the password

    Ends every other session. API keys stay valid.
    """
    principal, caller = principal_of(request), caller_of(request)
    await accounts.change_password(principal, body.current_password, body.new_password, caller)
    return empty_response(headers=NO_STORE)


def _user(user: User) -> dict[str, Any]:
    return {"id": user.id, "email": user.email, "created_at": rfc3339(user.created_at)}
