"""Chooses the limits of a request.

`default` applies to all of /v1, for each principal. `auth` replaces `default` for requests that send a password or
return tokens, the admin's forms included, for each address. A route's own limit applies in addition.
"""

from collections.abc import Sequence
from pathlib import Path

from core.http.paths import ADMIN_PREFIX, API_PREFIX
from core.ratelimit.buckets import LimitPlan, make_buckets
from core.ratelimit.rates import METHODS, Rate, RouteRates, normalize_template
from core.redis.client import redis

SCRIPT_SHA = redis.register_script(Path(__file__).with_name("gcra.lua").read_text(encoding="utf-8"))

# These forms have no route, but guessing passwords through the admin must count, too.
ADMIN_PASSWORD_PATHS = frozenset({f"{ADMIN_PREFIX}login/", f"{ADMIN_PREFIX}password_change/"})
AUTH_ROUTES = frozenset(
    ("POST", normalize_template(path))
    for path in (*(f"{API_PREFIX}auth/{name}" for name in ("login", "register", "refresh")), *ADMIN_PASSWORD_PATHS)
)


class Limits:
    def __init__(self, default: Sequence[Rate], auth: Sequence[Rate], routes: RouteRates) -> None:
        self._default = make_buckets("default", default)
        self._auth = make_buckets("auth", auth)
        self._routes = {route: make_buckets(policy_name(*route), rates) for route, rates in routes.items()}
        self._default_plan = LimitPlan(self._default, script_sha=SCRIPT_SHA)
        self._auth_plan = LimitPlan(self._auth, script_sha=SCRIPT_SHA, by_address=True)
        self._plans: dict[tuple[str, str | None], LimitPlan] = {}

    def plan(self, method: str, template: str | None) -> LimitPlan:
        """Return the plan of a route. `template` is None if the path does not exist."""
        if template is None or (method not in METHODS and method != "HEAD"):
            return self._default_plan
        plan = self._plans.get((method, template))
        if plan is None:
            plan = self._plans[method, template] = self._make_plan("GET" if method == "HEAD" else method, template)
        return plan

    def _make_plan(self, method: str, template: str) -> LimitPlan:
        route = (method, normalize_template(template))
        plan = self._auth_plan if route in AUTH_ROUTES else self._default_plan
        own = self._routes.get(route)
        if own is None:
            return plan
        return LimitPlan(plan.buckets + own, script_sha=SCRIPT_SHA, by_address=plan.by_address)


def policy_name(method: str, template: str) -> str:
    """Return the unique policy name of a route, such as `POST /v1/items`."""
    return f"{method} {template.replace('{}', '{id}')}"
