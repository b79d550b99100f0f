"""Rate limits for /v1/ and for the admin's password forms.

One round trip to Redis counts the request and prefetches the view's cache entry (core/http/prefetch.py). The headers
follow draft-ietf-httpapi-ratelimit-headers-10.
"""

import re
from contextlib import suppress
from functools import lru_cache
from ipaddress import IPv6Network

from django.conf import settings
from django.http.response import HttpResponseBase
from django.utils.decorators import async_only_middleware

from core.http.paths import API_PREFIX
from core.http.problem_responses import problem_response
from core.http.problems import TooManyRequests
from core.http.request import GetResponse, Request
from core.ratelimit.buckets import LimitPlan
from core.ratelimit.local import LocalLimiter
from core.ratelimit.policies import ADMIN_PASSWORD_PATHS, Limits
from core.redis.client import redis
from core.redis.pipeline import Command
from core.telemetry.metrics import RATE_LIMITED

QUOTE = ord('"')
_USED_UP = re.compile(rb'"([^"]*)";r=0;')


@async_only_middleware
def rate_limit(get_response: GetResponse) -> GetResponse:
    """Charge each request once, and return 429 if a limit is used up. Must come after authentication."""
    limits = Limits(settings.RATE_LIMIT, settings.RATE_LIMIT_AUTH, settings.RATE_LIMIT_ROUTES)
    local = LocalLimiter()

    async def middleware(request: Request) -> HttpResponseBase:
        method, route, principal = request.method or "", request.route, request.principal
        template = route.template if route else None
        if not request.path.startswith(API_PREFIX):
            if method != "POST" or request.path not in ADMIN_PASSWORD_PATHS:
                return await get_response(request)
            template = request.path
        plan = limits.plan(method, template)
        counted = None if plan.by_address else principal
        tag = counted.user_key.encode() if counted else address_tag(request.client_ip)
        commands: list[Command] = [plan.pack(tag)]
        prefetch_key = route.prefetch_keys.get(method) if route else None
        if prefetch_key and principal and (key := prefetch_key(principal, request.route_params)) is not None:
            commands.append((b"GET", key))
        replies = await redis.call(commands)
        if replies is None:
            verdict = local.charge(plan, tag)
        else:
            verdict = replies[0]
            local.note(plan, tag, verdict)
            if len(replies) == 2:
                request.prefetched = replies[1]
        request.response_headers.append(plan.policy_header)
        if verdict[0] == QUOTE:
            request.response_headers.append((b"ratelimit", verdict))
            return await get_response(request)
        return _refuse(request, plan, verdict)

    return middleware


def _refuse(request: Request, plan: LimitPlan, verdict: bytes) -> HttpResponseBase:
    seconds, _, header = verdict.partition(b" ")
    request.response_headers.append((b"ratelimit", header))
    for name in _USED_UP.findall(header):
        RATE_LIMITED.labels(policy=name.decode()).inc()
    wait = int(seconds)
    rates = ", ".join(f"{bucket.rate.quota} in {bucket.rate.window_seconds} s" for bucket in plan.buckets)
    detail = f"The limit is {rates}. Try again in {wait} second{'' if wait == 1 else 's'}."
    return problem_response(request, TooManyRequests(detail, headers={"Retry-After": str(wait)}))


@lru_cache(maxsize=4096)
def address_tag(address: str) -> bytes:
    """Return the key for an address. An IPv6 address counts as its /64 network, which belongs to one client."""
    if ":" in address:
        with suppress(ValueError):
            return str(IPv6Network((address.partition("%")[0], 64), strict=False)).encode()
    return address.encode()
