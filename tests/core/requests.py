"""Requests as the handler creates them, for code that reads only headers, query and body."""

from core.http.request import Request


def make_request(
    *headers: tuple[str, str], method: str = "GET", path: str = "/v1/items/", query: str = "", body: bytes = b""
) -> Request:
    """Create a request with these header lines. Names are in lower case."""
    lines = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": lines,
        "client": ("127.0.0.1", 1),
    }
    return Request(scope, dict(lines), body)
