"""Runs all checks of the doctor."""

from core.operations.doctor import (
    backups,
    clock,
    configuration,
    database,
    files,
    redis_server,
    secret_values,
    tracing,
    workers,
)
from core.operations.doctor.findings import Check, Finding, error

CHECKS: dict[str, Check] = {
    "configuration": configuration.check,
    "secrets": secret_values.check,
    "database": database.check,
    "backups": backups.check,
    "redis": redis_server.check,
    "clock": clock.check,
    "workers": workers.check,
    "proxies": configuration.check_proxies,
    "files": files.check,
    "tracing": tracing.check,
}


def examine() -> dict[str, list[Finding]]:
    """Run the checks, and return their findings by the name of the check. A check that raises yields an error."""
    found: dict[str, list[Finding]] = {}
    for name, check in CHECKS.items():
        findings = found.setdefault(name, [])
        try:
            findings.extend(check())
        except Exception as failure:
            message = f"This check failed: {type(failure).__name__}: {str(failure).strip()}"
            findings.append(error(message, "If no finding above explains the failure, report a bug"))
    return found
