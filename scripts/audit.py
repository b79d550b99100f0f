"""Look up known vulnerabilities of the pinned dependencies with pip-audit.

Exit code 0: none is known. 1: at least one is known. 2: the data was not available, which pip-audit would ignore.
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
    found = {line: None for report in reports for package in report for line in vulnerabilities(package)}
    unknown = {package["name"] for report in reports for package in report if "skip_reason" in package}
    if found:
        print("\n".join(found))
        sys.exit(1)
    if unknown:
        fail(f"{len(unknown)} packages were not looked up, such as {min(unknown)}: the data is not available.")
    print("No vulnerability is known.")


def audit(name: str) -> list[dict[str, Any]]:
    """Return pip-audit's report on each package of a file; exit if there is none."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--format", "json", "--requirement", name]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        fail(f"pip-audit could not look up {name}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return found


def vulnerabilities(package: dict[str, Any]) -> list[str]:
    known = [(one["id"], ", ".join(one["fix_versions"]) or "no version") for one in package.get("vulns", ())]
    return [f"{package['name']} {package['version']}: {name}, fixed in {versions}" for name, versions in known]


def fail(reason: str) -> NoReturn:
    print(reason, file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
