"""Routes of logging in, refreshing tokens and logging out."""

from dataclasses import asdict

from django.http import HttpResponse
from ninja import Router

from core.api.contract import Failure, Success, documented, tag
from core.api.headers import CACHE_CONTROL
from core.auth import login, sessions
from core.auth.caller import caller_of
from core.auth.credentials.bearer import Bearer, principal_of
from core.auth.schemas import LoginIn, RefreshIn, TokensOut
from core.http.problems import AccountLocked, Forbidden, Unauthorized
from core.http.request import Request
from core.http.responses import NO_STORE, empty_response, json_response

TOKENS = {
    "access_token": "eyJhbGciOiJIUzI1NiIsImtpZCI6Ij…",
    "refresh_token": "vJ3n0P6c…",
    "token_type": "Bearer",
    "expires_in": 900,
    "refresh_expires_in": 604800,
}
NO_API_KEY = Failure(Forbidden, "API keys cannot manage accounts.")

router = Router(tags=[tag("Accounts", "Accounts, login, sessions and API keys.")])


@router.post(
    "/login",
    **documented(
        success=Success(200, TokensOut, headers=[CACHE_CONTROL], example=TOKENS),
        example={"email": "ada@example.org", "password": "Sturdy-horse-battery-9"},
        problems=[
            Failure(Unauthorized, "E-mail or password is wrong, or the account is not active."),
            Failure(AccountLocked, "Ten failures within 15 minutes lock an account for 15 minutes."),
        ],
    ),
)
async def log_in(request: Request, body: LoginIn) -> HttpResponse:
    """Log in

    Send the access token as `Authorization: Bearer …`; it is valid for 15 minutes. `POST /v1/auth/refresh` takes the
    refresh token. When too many clients log in at once, the response is a 503: try again after `Retry-After`.
    """
    return _tokens_response(await login.log_in(body.email, body.password, caller_of(request)))


@router.post(
    "/refresh",
    **documented(
        success=Success(200, TokensOut, headers=[CACHE_CONTROL], example=TOKENS),
        example={"refresh_token": TOKENS["refresh_token"]},
        problems=[Failure(Unauthorized, "The refresh token is unknown, has expired or was used before.")],
    ),
)
async def refresh_tokens(request: Request, body: RefreshIn) -> HttpResponse:
    """Refresh the tokens

    Every refresh returns a new refresh token and invalidates the old one. Reusing an old one ends the session,
    because it may have been stolen (RFC 9700). Of several concurrent calls, at most one succeeds.
    """
    return _tokens_response(await sessions.refresh(body.refresh_token, caller_of(request)))


@router.post("/logout", auth=Bearer(), **documented(success=Success(204), problems=[NO_API_KEY]))
async def log_out(request: Request) -> HttpResponse:
    """Log out

    Ends the session of the access token. Every process refuses its tokens within a second.
    """
    await sessions.end_own_session(principal_of(request), caller_of(request))
    return empty_response(headers=NO_STORE)


@router.post("/logout-all", auth=Bearer(), **documented(success=Success(204), problems=[NO_API_KEY]))
async def log_out_everywhere(request: Request) -> HttpResponse:
    """Log out everywhere

    Ends every session of the user, this one and admin sessions included. API keys stay valid.
    """
    await sessions.end_every_session(principal_of(request), caller_of(request))
    return empty_response(headers=NO_STORE)


def _tokens_response(tokens: sessions.Tokens) -> HttpResponse:
    return json_response({"token_type": "Bearer", **asdict(tokens)}, headers=NO_STORE)
