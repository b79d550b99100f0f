"""Routes of the user's login sessions."""

from typing import Any

from django.http import HttpResponse
from ninja import Router

from core.api.contract import Success, documented
from core.api.headers import CACHE_CONTROL
from core.auth import sessions
from core.auth.api.login import NO_API_KEY
from core.auth.caller import caller_of
from core.auth.credentials.bearer import Bearer, principal_of
from core.auth.models import Session
from core.auth.schemas import SessionsOut
from core.http.path_ids import parse_id
from core.http.request import Request
from core.http.responses import NO_STORE, empty_response, json_response
from core.values import rfc3339

SESSION = {
    "id": "0199c0de-7a11-7000-8000-0000000000cc",
    "created_at": "2026-01-31T12:00:00.000000Z",
    "last_used_at": "2026-01-31T12:30:00.000000Z",
    "ip": "203.0.113.7",
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "current": True,
}

router = Router(tags=["Accounts"])


@router.get(
    "/sessions",
    auth=Bearer(),
    **documented(
        success=Success(200, SessionsOut, headers=[CACHE_CONTROL], example={"sessions": [SESSION]}),
        problems=[NO_API_KEY],
    ),
)
async def list_sessions(request: Request) -> HttpResponse:
    """List the sessions"""
    principal = principal_of(request)
    found = await sessions.list_sessions(principal)
    payload = [_session(session, current=session.id == principal.session_id) for session in found]
    return json_response({"sessions": payload}, headers=NO_STORE)


@router.delete("/sessions/{session_id}", auth=Bearer(), **documented(success=Success(204), problems=[NO_API_KEY]))
async def end_session(request: Request, session_id: str) -> HttpResponse:
    """End a session

    Every process refuses its tokens within a second.
    """
    await sessions.end_session(principal_of(request), parse_id(session_id), caller_of(request))
    return empty_response(headers=NO_STORE)


def _session(session: Session, *, current: bool) -> dict[str, Any]:
    return {
        "id": session.id,
        "created_at": rfc3339(session.created_at),
        "last_used_at": rfc3339(session.last_used_at),
        "ip": session.ip,
        "user_agent": session.user_agent,
        "current": current,
    }
