"""Check that requirements*.txt match pyproject.toml: pinned, hashed, no pre-releases, no special sources."""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
# These packages have only pre-releases.
PRE_RELEASES = re.compile(r"opentelemetry-")


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime, dev = project["project"]["dependencies"], project["dependency-groups"]["dev"]
    faults = [*faults_in("requirements.txt", runtime), *faults_in("requirements-dev.txt", runtime + dev)]
    if faults:
        sys.exit("\n".join([*faults, "`make requirements` writes both files from pyproject.toml."]))


def faults_in(name: str, wanted: list[str]) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    # Options of pip, such as another index, and URLs instead of versions.
    faults = [f"{name}: {line}" for line in text.splitlines() if line.startswith("-") or "://" in line]
    pins: dict[str, Version] = {}
    for block in re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]:
        package, _, version = block.split()[0].partition("==")
        pins[canonicalize_name(package)] = Version(version)
        if "--hash=sha256:" not in block:
            faults.append(f"{name}: {package} has no hash")
        if Version(version).is_prerelease and not PRE_RELEASES.match(package):
            faults.append(f"{name}: {package} {version} is a pre-release")
    for requirement in map(Requirement, wanted):
        pinned = pins.get(canonicalize_name(requirement.name))
        if pinned is None or not requirement.specifier.contains(pinned, prereleases=True):
            faults.append(f"{name}: pyproject.toml requires {requirement}, but {pinned} is pinned")
    return faults


if __name__ == "__main__":
    main()
