"""Which limits a request falls under.

`default` over all of /v1, by principal. `auth` in its place over the calls that take a password or hand out
tokens, the admin's forms among them, by address. A route's own limit in addition.
"""

from collections.abc import Sequence
from pathlib import Path

from core.ratelimit.buckets import Bucket, Plan, make_buckets
from core.ratelimit.rates import METHODS, Rate, RouteRates, normalize_template
from core.redis.client import redis

SCRIPT_SHA = redis.register_script(Path(__file__).with_name("gcra.lua").read_text(encoding="utf-8"))

# Django's own pages, which have no route: somebody who guesses passwords must not have a second way.
ADMIN_PASSWORD_PATHS = frozenset({"/admin/login/", "/admin/password_change/"})
AUTH_ROUTES = frozenset(
    ("POST", path)
    for path in (
        *(f"/v1/auth/{name}" for name in ("login", "register", "refresh")),
        *map(normalize_template, ADMIN_PASSWORD_PATHS),
    )
)


class Limits:
    """The plans of all routes, made from the settings."""

    def __init__(self, default: Sequence[Rate], auth: Sequence[Rate], routes: RouteRates) -> None:
        self._default, self._auth = make_buckets("default", default), make_buckets("auth", auth)
        self._routes = {route: make_buckets(policy_name(*route), rates) for route, rates in routes.items()}
        self._default_plan = Plan(self._default, script_sha=SCRIPT_SHA)
        self._plans: dict[tuple[str, str], Plan] = {}

    def plan(self, method: str, template: str | None) -> Plan:
        """The plan for a route below /v1, or for none (`None`: a path that does not exist)."""
        plan = self._plans.get((method, template or ""))
        return plan or self._make_plan(method, template)

    def _make_plan(self, method: str, template: str | None) -> Plan:
        counted_as = "GET" if method == "HEAD" else method
        if template is None or counted_as not in METHODS:
            return self._default_plan
        route = (counted_as, normalize_template(template))
        by_address = route in AUTH_ROUTES
        buckets: tuple[Bucket, ...] = self._auth if by_address else self._default
        plan = Plan(buckets + self._routes.get(route, ()), script_sha=SCRIPT_SHA, by_address=by_address)
        self._plans[method, template] = plan
        return plan


def policy_name(method: str, template: str) -> str:
    """A route's name among the policies, such as `POST /v1/items`: a structured-field string, and unique."""
    return f"{method} {template.replace('{}', '{id}')}"
