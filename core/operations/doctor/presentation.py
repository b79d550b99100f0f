"""Prints findings as text or JSON."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict

from django.core.management.color import Style

from core.operations.doctor.findings import Finding, Level

LABELS = {Level.OK: "ok", Level.INFO: "info", Level.WARNING: "WARNING", Level.ERROR: "ERROR"}
WIDTH = max(map(len, LABELS.values()))


def worst(found: Mapping[str, Iterable[Finding]]) -> Level:
    return max((finding.level for findings in found.values() for finding in findings), default=Level.OK)


def as_lines(found: Mapping[str, list[Finding]], style: Style) -> Iterator[str]:
    colours: dict[Level, Callable[[str], str]] = {
        Level.OK: style.SUCCESS,
        Level.INFO: str,
        Level.WARNING: style.WARNING,
        Level.ERROR: style.ERROR,
    }
    for name, findings in found.items():
        yield style.MIGRATE_HEADING(name)
        for finding in findings:
            yield f"  {colours[finding.level](LABELS[finding.level].ljust(WIDTH))}  {finding.message}"
            if finding.remedy:
                yield f"  {'':{WIDTH}}  -> {finding.remedy}"
    counts = _count(found)
    yield ""
    yield ", ".join(f"{counts[level]} {LABELS[level].lower()}" for level in Level)


def as_json(found: Mapping[str, list[Finding]]) -> str:
    """Render {"status": highest level, "counts": by level, "findings": in the order of the checks}."""
    counts = _count(found)
    report = {
        "status": worst(found).name.lower(),
        "counts": {level.name.lower(): counts[level] for level in Level},
        "findings": [
            {"check": name, **asdict(finding), "level": finding.level.name.lower()}
            for name, findings in found.items()
            for finding in findings
        ],
    }
    return json.dumps(report, indent=2)


def _count(found: Mapping[str, list[Finding]]) -> dict[Level, int]:
    levels = [finding.level for findings in found.values() for finding in findings]
    return {level: levels.count(level) for level in Level}
