"""The descriptions of plain Django views, which are not ninja operations."""

from dataclasses import dataclass
from typing import Any

from core.api.contract import HTML, JSON, Contract, Failure, JSONObject, Success, tag
from core.api.headers import CACHE_CONTROL, ETAG, IF_NONE_MATCH, TEXT
from core.http.problems import NotFound, ServiceUnavailable, Unauthorized, explain

SERVICE = tag("Service", "Information about the service. No credentials needed, no rate limits.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainOperation:
    path: str
    operation_id: str
    summary: str
    description: str
    contract: Contract
    parameters: tuple[JSONObject, ...] = ()
    security: tuple[JSONObject, ...] = ()


def _object(properties: dict[str, Any]) -> JSONObject:
    return {"type": "object", "properties": properties, "required": list(properties)}


LIVE = _object({"status": {"type": "string", "const": "live"}})
STARTED = _object({"status": {"type": "string", "const": "started"}})
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
NOT_READY = Failure(ServiceUnavailable, "The member `checks` lists the failed checks.")
SLUG: JSONObject = {
    "in": "path",
    "name": "slug",
    "required": True,
    "description": "The last segment of a problem's `type`.",
    "schema": TEXT,
    "example": NotFound.slug,
}


def _static(schema: JSONObject, *, example: Any = None, media_type: str = JSON, also: tuple[str, ...] = ()) -> Contract:
    """Describe a static document: the same bytes until the service restarts, and therefore an ETag."""
    headers = (ETAG, CACHE_CONTROL)
    success = Success(200, schema=schema, example=example, media_type=media_type, also=also, headers=headers)
    return Contract(success=success, takes=(IF_NONE_MATCH,))


def _health(schema: JSONObject, example: JSONObject, *problems: Failure) -> Contract:
    success = Success(200, schema=schema, headers=(CACHE_CONTROL,), example=example)
    return Contract(success=success, problems=problems)


PLAIN_OPERATIONS = (
    PlainOperation(
        path="/",
        operation_id="get_root",
        summary="Entry point",
        description="The name, version and environment of the service, and links. Browsers receive an HTML page.",
        contract=_static(ROOT, example=ROOT_EXAMPLE, also=(HTML,)),
    ),
    PlainOperation(
        path="/v1",
        operation_id="get_api_root",
        summary="Entry point below /v1",
        description="The same as `GET /`.",
        contract=_static(ROOT, example=ROOT_EXAMPLE, also=(HTML,)),
    ),
    PlainOperation(
        path="/health/live",
        operation_id="get_liveness",
        summary="Liveness",
        description="Succeeds if the process responds. Use it to restart a process that hangs.",
        contract=_health(LIVE, {"status": "live"}),
    ),
    PlainOperation(
        path="/health/ready",
        operation_id="get_readiness",
        summary="Readiness",
        description="Checks the database, pending migrations and Redis, and fails while the service is stopping.",
        contract=_health(READINESS, {"status": "ready", "checks": CHECKS_EXAMPLE}, NOT_READY),
    ),
    PlainOperation(
        path="/health/startup",
        operation_id="get_startup",
        summary="Startup",
        description="Succeeds once the service has been ready. Use it to delay the other two probes.",
        contract=_health(STARTED, {"status": "started"}, NOT_READY),
    ),
    PlainOperation(
        path="/metrics",
        operation_id="get_metrics",
        summary="Metrics for Prometheus",
        description="If `METRICS_TOKEN` is set, send it as the bearer token.",
        contract=Contract(
            success=Success(200, schema=TEXT, media_type="text/plain", headers=(CACHE_CONTROL,)),
            problems=(Failure(Unauthorized, "`METRICS_TOKEN` is set, and the request does not have it."),),
        ),
        security=({}, {"bearer": []}),
    ),
    PlainOperation(
        path="/openapi.json",
        operation_id="get_openapi_document",
        summary="This document",
        description="OpenAPI 3.1.",
        contract=_static({"type": "object"}),
    ),
    PlainOperation(
        path="/docs",
        operation_id="get_docs",
        summary="This document as a web page",
        description="Swagger UI, to read about each operation and to try it.",
        contract=_static(TEXT, media_type=HTML),
    ),
    PlainOperation(
        path="/problems/",
        operation_id="list_problems",
        summary="List problem types",
        description="The meaning of each problem type and how to solve it. Browsers receive an HTML page.",
        contract=_static(_object({"problems": {"type": "array", "items": EXPLANATION}}), also=(HTML,)),
    ),
    PlainOperation(
        path="/problems/{slug}",
        operation_id="get_problem",
        summary="Read a problem type",
        description="The meaning of the problem type and how to solve it. Browsers receive an HTML page.",
        contract=_static(EXPLANATION, example=explain(NotFound), also=(HTML,)),
        parameters=(SLUG,),
    ),
)
