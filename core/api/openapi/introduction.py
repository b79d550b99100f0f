"""What the document says of the service as a whole."""

from core.api.contract import JSONObject

DESCRIPTION = """\
**Authenticate** with `Authorization: Bearer …`: an access token from `POST /v1/auth/login`, or an API key.
On this page, press *Authorize* and paste either.

**Errors** are problems (RFC 9457, `application/problem+json`); `type` leads to a page that explains them, and
[all of them](/problems/) are listed. `request_id` is what to quote when you ask for help.

**Conditional requests**: an `ETag` is the version of what you got. `If-None-Match` saves reading it again,
`If-Match` keeps a change from overwriting somebody else's.

**Retries**: a `POST` with an `Idempotency-Key` has one effect however often it is sent.

**Rate limits** are told in `RateLimit-Policy` and `RateLimit` on every answer under `/v1`; a 429 says in
`Retry-After` when to go on.

`HEAD` works wherever `GET` does, and `OPTIONS` lists a path's methods. `X-Request-ID` is on every answer:
yours if you sent a well-formed one. Unknown fields and parameters are refused, so that a misspelt one is not
silently lost.
"""


def introduction() -> JSONObject:
    """Members of `info`, beside the title and the version that the NinjaAPI knows."""
    return {"description": DESCRIPTION, "license": {"name": "MIT", "identifier": "MIT"}}
