"""All checks, in the order in which they are told."""

from core.operations.doctor import (
    backups,
    clock,
    configuration,
    database,
    files,
    proxies,
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
    "proxies": proxies.check,
    "files": files.check,
    "tracing": tracing.check,
}


def examine() -> dict[str, list[Finding]]:
    """What every check finds. One that fails has found that."""
    found: dict[str, list[Finding]] = {}
    for name, check in CHECKS.items():
        findings = found.setdefault(name, [])
        try:
            findings.extend(check())
        except Exception as failure:  # whatever it is, the other checks are wanted all the same
            told = f"This check could not go on: {type(failure).__name__}: {str(failure).strip()}"
            findings.append(error(told, "If nothing above explains it, it is a bug of the service's"))
    return found
