"""X-Request-ID: the client's id if it is well formed, otherwise a new one. Each response and log line has it."""

import re

from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware
from uuid_utils import uuid7

from core.http.request import GetResponse, Request
from core.telemetry.logs import request_fields

_is_well_formed = re.compile(rb"[A-Za-z0-9._-]{1,128}").fullmatch
# W3C Trace Context. Version ff and ids of zeros are invalid; versions after 00 may be longer.
_trace_of = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:(?<!\A00.{53})-.*)?"
).fullmatch


@async_only_middleware
def request_id(get_response: GetResponse) -> GetResponse:
    """Set `request.request_id` and the ids in the log context. Must be the first middleware."""

    async def middleware(request: Request) -> HttpResponseBase:
        headers = request.raw_headers
        sent = headers.get(b"x-request-id")
        if sent is not None and _is_well_formed(sent) and len(request.header_lines(b"x-request-id")) == 1:
            name = sent.decode()
        else:
            name = str(uuid7())
            sent = name.encode()
        request.request_id = name
        request.response_headers.append((b"x-request-id", sent))
        fields = {"correlation_id": name, "request_id": name}
        if b"traceparent" in headers and (trace_id := parse_trace_id(headers[b"traceparent"])):
            fields["trace_id"] = trace_id
        request_fields.set(fields)
        return await get_response(request)

    return middleware


def parse_trace_id(traceparent: bytes) -> str | None:
    found = _trace_of(traceparent)
    return found[1].decode() if found else None
