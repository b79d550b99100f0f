"""The system check of RATE_LIMIT_ROUTES, because a limit on a route that does not exist would limit nothing."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.checks import Error, register

from core.api.ninja_api import API
from core.ratelimit.rates import RouteRates, normalize_template


@register("urls")
def check_rate_limit_routes(**_: Any) -> list[Error]:
    urlconf = import_module(settings.ROOT_URLCONF)
    apis = [value for value in vars(urlconf).values() if isinstance(value, API)]
    operations = [operation for api in apis for operation in api.operations()]
    known = [(method, path) for path, operation in operations for method in operation.methods]
    return unknown_routes(settings.RATE_LIMIT_ROUTES, known)


def unknown_routes(limited: RouteRates, known: Iterable[tuple[str, str]]) -> list[Error]:
    """Return an error for each limited route that is not among the known methods and path templates."""
    routes = sorted({(method, normalize_template(template)) for method, template in known})
    return [
        Error(
            f"RATE_LIMIT_ROUTES: there is no route {method} {template}",
            hint="Routes are: " + ", ".join(" ".join(route) for route in routes),
            id="ratelimit.E001",
        )
        for method, template in limited
        if (method, template) not in routes
    ]
