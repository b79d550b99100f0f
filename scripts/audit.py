"""Holds the pinned dependencies against published vulnerabilities (pip-audit).

Ends with 0 if none is known, 1 if one is, 2 if the data could not be reached: pip-audit alone passes then.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
PINS = ("requirements.txt", "requirements-dev.txt")


def main() -> None:
    reports = [audit(name) for name in PINS]
    found = {line: None for report in reports for one in report for line in vulnerabilities(one)}
    unknown = {one["name"] for report in reports for one in report if "skip_reason" in one}
    if found:
        print("\n".join(found))
        sys.exit(1)
    if unknown:
        fail(f"{len(unknown)} packages were not looked up, {min(unknown)} among them: the data was not reached.")
    print("No vulnerability is known.")


def audit(name: str) -> list[dict[str, Any]]:
    """What pip-audit tells of each package of a file; ends the process if it tells nothing."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--format", "json", "--requirement", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        fail(f"pip-audit could not look up {name}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return found


def vulnerabilities(package: dict[str, Any]) -> list[str]:
    known = [(one["id"], ", ".join(one["fix_versions"]) or "no version") for one in package.get("vulns", ())]
    return [f"{package['name']} {package['version']}: {name}, mended in {versions}" for name, versions in known]


def fail(reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
