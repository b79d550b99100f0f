"""Parses the rates in the settings: `100/minute`, several joined by `;`."""

import json
import re
from typing import NamedTuple

from core.http.paths import API_PREFIX

UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
MAX_QUOTA = 1_000_000_000
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

_RATE = re.compile(r"([0-9]+)\s*/\s*([a-z]+)", re.ASCII)
_ROUTE = re.compile(rf"([A-Z]+) +({API_PREFIX}[\w.~{{}}/-]+)", re.ASCII)


class Rate(NamedTuple):
    quota: int
    window_seconds: int


type Rates = tuple[Rate, ...]
# By method and normalized path template.
type RouteRates = dict[tuple[str, str], Rates]


def parse_rates(text: str) -> Rates:
    """Parse `10/second;1000/hour`. Raises ValueError with a message that explains the format."""
    return tuple(_parse_rate(part.strip()) for part in text.split(";"))


def _parse_rate(text: str) -> Rate:
    found = _RATE.fullmatch(text)
    if not found or found[2] not in UNITS:
        raise ValueError(
            f"{text[:40]!r} is not a rate: write a number, a slash and one of {', '.join(UNITS)}, "
            "as in 100/minute; join several by ';'"
        )
    if len(found[1]) > 20 or not 1 <= int(found[1]) <= MAX_QUOTA:
        raise ValueError(f"{text[:40]!r} is out of range: a rate allows 1 to {MAX_QUOTA} requests")
    return Rate(int(found[1]), UNITS[found[2]])


def parse_route_rates(text: str) -> RouteRates:
    """Parse `{"POST /v1/items/": "20/minute"}`. Raises ValueError. A system check verifies later that routes exist."""
    try:
        routes = json.loads(text)
    except ValueError:
        routes = None
    if not isinstance(routes, dict) or not all(isinstance(rates, str) for rates in routes.values()):
        raise ValueError('must be a JSON object of routes and rates, as in {"POST /v1/items/": "20/minute"}')
    parsed: RouteRates = {}
    for name, rates in routes.items():
        route = _parse_route(name)
        if route in parsed:
            raise ValueError(f"names the route {name!r} twice")
        try:
            parsed[route] = parse_rates(rates)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return parsed


def _parse_route(name: str) -> tuple[str, str]:
    found = _ROUTE.fullmatch(name.strip())
    if not found or found[1] not in METHODS:
        raise ValueError(
            f"{name[:80]!r} is not a route: write {', '.join(METHODS)} (HEAD counts as GET), a space and a "
            "path below /v1/ as in the OpenAPI document"
        )
    return found[1], normalize_template(found[2])


def normalize_template(template: str) -> str:
    """Return a path template without its trailing slash and parameter names, which do not distinguish routes."""
    return re.sub(r"\{[^/]*\}", "{}", template).rstrip("/")
