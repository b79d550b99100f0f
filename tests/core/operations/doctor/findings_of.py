"""What a check finds, in a form to compare."""

from core.operations.doctor.findings import Check, Finding, Level


def complaints(check: Check) -> list[Finding]:
    """The warnings and errors."""
    return [finding for finding in check() if finding.level >= Level.WARNING]


def the_one(check: Check, level: Level) -> Finding:
    """The only finding of this level. Each that complains says what to do about it."""
    [found] = [finding for finding in check() if finding.level == level]
    assert found.remedy or level < Level.WARNING
    return found
