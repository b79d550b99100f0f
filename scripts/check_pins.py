"""Holds requirements*.txt against pyproject.toml: all pinned, hashed, released, from no special place."""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
# All that there is of these are pre-releases.
PRE_RELEASES = re.compile(r"opentelemetry-")


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime, dev = project["project"]["dependencies"], project["dependency-groups"]["dev"]
    faults = [*faults_in("requirements.txt", runtime), *faults_in("requirements-dev.txt", runtime + dev)]
    if faults:
        sys.exit("\n".join([*faults, "`make requirements` writes both files anew from pyproject.toml."]))


def faults_in(name: str, wanted: list[str]) -> list[str]:
    """What is wrong with one requirements file."""
    text = (ROOT / name).read_text(encoding="utf-8")
    # An option of pip's (another index, say), or an address instead of a version.
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
            faults.append(f"{name}: pyproject.toml asks for {requirement}, pinned is {pinned}")
    return faults


if __name__ == "__main__":
    main()
