"""The introduction of the document: the members of `info` other than title and version."""

from core.api.contract import JSONObject

DESCRIPTION = """\
**Authentication**: send `Authorization: Bearer …` with an access token from `POST /v1/auth/login` or an API key.
On this page, press *Authorize* and paste either of them.

**Errors** are problems (RFC 9457, `application/problem+json`). The `type` of a problem is the path of a page that
explains it, and [the list of problems](/problems/) links to all of them. Quote the `request_id` when you ask for help.

**Conditional requests**: the `ETag` of a resource is its version. With `If-None-Match` an unchanged resource is not
sent again. With `If-Match` a change cannot overwrite the change of another client.

**Retries**: a `POST` with an `Idempotency-Key` has one effect, however often you send it.

**Rate limits**: every response under `/v1` has the limits in `RateLimit-Policy` and the remaining quota in
`RateLimit`. A 429 says in `Retry-After` how many seconds to wait.

`HEAD` works wherever `GET` does, and `OPTIONS` lists the methods of a path. Every response has an `X-Request-ID`: the
id that you sent, if it is well-formed, or a new one. The service refuses unknown fields and query parameters, so that
misspelled names are not silently ignored.
"""

INTRODUCTION: JSONObject = {"description": DESCRIPTION, "license": {"name": "MIT", "identifier": "MIT"}}
