"""The operations that are not ninja's: what the service says of itself. Described here by hand."""

from dataclasses import dataclass
from typing import Any

from core.api.contract import HTML, JSON, Contract, Failure, JSONObject, Success
from core.api.headers import CACHE_CONTROL, ETAG, IF_NONE_MATCH
from core.api.tags import tag
from core.http.problems import NotFound, ServiceUnavailable, Unauthorized, explain

SERVICE = tag("Service", "What the service says of itself: without credentials, and not rate limited.")
TEXT = {"type": "string"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainOperation:
    """A GET that a plain Django view answers."""

    path: str
    operation_id: str
    summary: str
    description: str
    contract: Contract
    parameters: tuple[JSONObject, ...] = ()
    security: tuple[JSONObject, ...] = ()
    tag: str = SERVICE

    @property
    def has_parameter(self) -> bool:
        return "{" in self.path


def _object(properties: dict[str, Any]) -> JSONObject:
    return {"type": "object", "properties": properties, "required": list(properties)}


LINKS = {"type": "object", "additionalProperties": {"type": "string", "format": "uri-reference"}}
CHECK = _object(
    {
        "status": {"type": "string", "enum": ["up", "down", "timeout", "pending", "disabled"]},
        "latency_ms": {"type": "number", "minimum": 0},
    }
)
CHECKS_EXAMPLE = {
    "database": {"status": "up", "latency_ms": 0.4},
    "migrations": {"status": "up", "latency_ms": 0.5},
    "redis": {"status": "disabled", "latency_ms": 0.0},
}
READINESS = _object(
    {
        "status": {"type": "string", "enum": ["ready", "degraded"]},
        "checks": {"type": "object", "additionalProperties": CHECK},
    }
)
ROOT = _object({"name": TEXT, "version": TEXT, "environment": TEXT, "links": LINKS})
ROOT_EXAMPLE = {
    "name": "Agent Router API",
    "version": "1.0.0",
    "environment": "production",
    "links": {"docs": "/docs", "openapi": "/openapi.json", "v1": "/v1"},
}
EXPLANATION = _object(
    {
        "type": {"type": "string", "format": "uri-reference"},
        "title": TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "explanation": TEXT,
    }
)
NOT_READY = Failure(ServiceUnavailable, "The member `checks` tells what is missing.")
SLUG: JSONObject = {
    "in": "path",
    "name": "slug",
    "required": True,
    "description": "The end of a problem's `type`.",
    "schema": TEXT,
    "example": NotFound.slug,
}


def _kept(schema: JSONObject, *, example: Any = None, media_type: str = JSON, also: tuple[str, ...] = ()) -> Contract:
    """What answers with the same bytes until the service is started anew, and so with an ETag."""
    headers = (ETAG, CACHE_CONTROL)
    success = Success(200, schema=schema, example=example, media_type=media_type, also=also, headers=headers)
    return Contract(success=success, takes=(IF_NONE_MATCH,))


def _health(status: str, *problems: Failure) -> Contract:
    schema = _object({"status": {"type": "string", "const": status}})
    success = Success(200, schema=schema, headers=(CACHE_CONTROL,), example={"status": status})
    return Contract(success=success, problems=problems)


PLAIN_OPERATIONS = (
    PlainOperation(
        path="/",
        operation_id="get_root",
        summary="Where everything is",
        description="Name, version and environment of the service, and links. A browser gets a page.",
        contract=_kept(ROOT, example=ROOT_EXAMPLE, also=(HTML,)),
    ),
    PlainOperation(
        path="/health/live",
        operation_id="get_liveness",
        summary="Does the process answer?",
        description="Looks at nothing but the process: for restarting one that hangs.",
        contract=_health("live"),
    ),
    PlainOperation(
        path="/health/ready",
        operation_id="get_readiness",
        summary="Should requests be sent here?",
        description="Looks at the database, pending migrations, Redis, and whether the service is stopping.",
        contract=Contract(
            success=Success(
                200,
                schema=READINESS,
                headers=(CACHE_CONTROL,),
                example={"status": "ready", "checks": CHECKS_EXAMPLE},
            ),
            problems=(NOT_READY,),
        ),
    ),
    PlainOperation(
        path="/health/startup",
        operation_id="get_startup",
        summary="Has the service ever been ready?",
        description="For probes that wait for the start before the other two begin.",
        contract=_health("started", NOT_READY),
    ),
    PlainOperation(
        path="/metrics",
        operation_id="get_metrics",
        summary="Metrics for Prometheus",
        description="With `METRICS_TOKEN` set, only for who sends it as bearer token.",
        contract=Contract(
            success=Success(200, schema=TEXT, media_type="text/plain", headers=(CACHE_CONTROL,)),
            problems=(Failure(Unauthorized, "`METRICS_TOKEN` is set and was not sent."),),
        ),
        security=({}, {"bearer": []}),
    ),
    PlainOperation(
        path="/openapi.json",
        operation_id="get_openapi_document",
        summary="This document",
        description="OpenAPI 3.1.",
        contract=_kept({"type": "object"}),
    ),
    PlainOperation(
        path="/docs",
        operation_id="get_docs",
        summary="This document, to read and to try out",
        description="Swagger UI.",
        contract=_kept(TEXT, media_type=HTML),
    ),
    PlainOperation(
        path="/problems/",
        operation_id="list_problems",
        summary="All types of problems",
        description="What each one means and what to do about it. A browser gets a page.",
        contract=_kept(_object({"problems": {"type": "array", "items": EXPLANATION}}), also=(HTML,)),
    ),
    PlainOperation(
        path="/problems/{slug}",
        operation_id="get_problem",
        summary="One type of problem",
        description="What it means and what to do about it. A browser gets a page.",
        contract=_kept(EXPLANATION, example=explain(NotFound), also=(HTML,)),
        parameters=(SLUG,),
    ),
)
