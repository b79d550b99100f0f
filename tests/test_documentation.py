"""The documentation agrees with the project: settings, defaults, packages, links, versions."""

import ast
import json
import re
import subprocess
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from agent_router import settings
from core.version import VERSION

ROOT = Path(__file__).resolve().parent.parent
READERS = {"text", "integer", "boolean", "strings", "parsed"}
ASSIGNMENT = re.compile(r"^(# )?([A-Z][A-Z0-9_]+)=(.*)$")
ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]+)` \| (.+?) \| .+ \|$", re.MULTILINE)
# A literal secret, but not a command that generates one, such as $(openssl rand -base64 48).
SECRET = re.compile(r"""JWT_SECRET(?:_PREVIOUS)?\s*[=:]\s*["']?([^\s"'`${}()<>]{32,})""")


@cache
def defaults() -> dict[str, str | None]:
    """Return each variable that the settings read, with its default as text; None if the default depends on others."""
    found: dict[str, str | None] = {}
    for node in ast.walk(ast.parse((ROOT / "agent_router" / "settings.py").read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READERS:
            name, *others = node.args
            assert isinstance(name, ast.Constant), ast.unparse(node)
            found[str(name.value)] = _as_set(others[0]) if others else ""
    return found


def _as_set(default: ast.expr) -> str | None:
    try:
        value: Any = eval(ast.unparse(default), {})  # noqa: S307
    except NameError:
        return None
    return value if isinstance(value, str) else json.dumps(value)


@cache
def examples() -> dict[str, tuple[str, str]]:
    """Return the value of each variable in env.example, and the comment above it."""
    found, comment = {}, ""
    for line in (ROOT / "env.example").read_text().splitlines():
        if match := ASSIGNMENT.match(line):
            value = match[3]
            found[match[2]] = value[1:-1] if value[:1] in ("'", '"') else value, comment
            comment = ""
        else:
            comment = f"{comment} {line.removeprefix('#').strip()}" if line.startswith("#") else ""
    return found


@cache
def rows() -> dict[str, str]:
    """Return the default of each variable in the tables of docs/settings.md."""
    return dict(ROW.findall((ROOT / "docs" / "settings.md").read_text()))


def test_settings_are_found() -> None:
    assert {"JWT_SECRET", "DB_DSN", "DEBUG", "RATE_LIMIT", "CORS_ORIGINS", "MAX_BODY_BYTES"} <= set(defaults())
    assert defaults()["MAX_BODY_BYTES"] == "1048576"
    assert (defaults()["DEBUG"], defaults()["JWT_SECRET"]) == ("false", None)


def test_example_and_settings_page_list_exactly_the_variables_that_are_read() -> None:
    assert set(examples()) == set(defaults())
    assert set(rows()) == set(defaults())


@pytest.mark.parametrize("name", list(defaults()))
def test_env_example_shows_the_default(name: str) -> None:
    value, comment = examples()[name]
    assert comment, "has no explanation"
    default = defaults()[name]
    if default is not None and value != default:
        assert f"Default if unset: {default}" in comment


@pytest.mark.parametrize("name", list(defaults()))
def test_settings_page_shows_the_default(name: str) -> None:
    default = defaults()[name]
    if default is not None:
        assert rows()[name] == (f"`{default}`" if default else "empty")


def tracked_files() -> list[Path]:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is not a Git checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def published_secrets(text: str) -> set[str]:
    return set(SECRET.findall(text))


def test_settings_refuse_every_published_secret() -> None:
    found = set()
    for file in tracked_files():
        if file.is_file() and file != Path(__file__):
            found |= published_secrets(file.read_text("utf-8", errors="replace"))
    assert found <= settings.PUBLISHED_SECRETS


def test_search_finds_secrets_in_every_notation() -> None:
    secret = "s" * 32
    for line in (f"JWT_SECRET={secret}", f'export JWT_SECRET="{secret}"', f"  JWT_SECRET: '{secret}'"):
        assert published_secrets(line) == {secret}
    for line in ('JWT_SECRET="$(openssl rand -base64 48 | tr -d a)"', "JWT_SECRET=", "JWT_SECRET=short"):
        assert published_secrets(line) == set()


def test_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION == settings.APP_VERSION


DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_existing_files_and_headings(document: Path) -> None:
    broken = []
    for name, heading in re.findall(r"\]\(([^)#:]*)(?:#([^):]+))?\)", document.read_text()):
        target = document.parent / name if name else document
        if not target.exists() or (heading and heading not in headings(target)):
            broken.append(f"{name}#{heading}")
    assert broken == []


def headings(document: Path) -> set[str]:
    """Return the anchors that GitHub gives to a document's headings."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def test_architecture_describes_every_package_of_core() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    packages = {path.parent.name for path in (ROOT / "core").glob("*/__init__.py")} - {"migrations"}
    assert {name for name in packages if f"| `{name}/` |" not in text} == set()


def test_index_lists_every_decision_record() -> None:
    folder = ROOT / "docs" / "decisions"
    records = {path.name for path in folder.glob("[0-9]*.md")}
    assert records <= set(re.findall(r"\]\(([^)]+)\)", (folder / "README.md").read_text()))
