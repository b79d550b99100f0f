"""Selects findings of a check."""

from core.operations.doctor.findings import Check, Finding, Level


def complaints(check: Check) -> list[Finding]:
    """Return the warnings and errors."""
    return [finding for finding in check() if finding.level >= Level.WARNING]


def the_one(check: Check, level: Level) -> Finding:
    """Return the only finding of this level. A warning or error must have a remedy."""
    [found] = [finding for finding in check() if finding.level == level]
    assert found.remedy or level < Level.WARNING
    return found
