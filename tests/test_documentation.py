"""What is said of the settings, in env.example and in the README, is what agent_router/settings.py does."""

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
# A literal, not something that makes one, such as $(openssl rand -base64 48).
SECRET = re.compile(r"""JWT_SECRET(?:_PREVIOUS)?\s*[=:]\s*["']?([^\s"'`${}()<>]{32,})""")


@cache
def defaults() -> dict[str, str | None]:
    """Each variable that the settings read, with its default as it would be set; None where it is not one value."""
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
    """Each variable of env.example: its value, and what is said above it."""
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
    """Each variable in the README's table, with what is said to be its default."""
    return dict(ROW.findall((ROOT / "README.md").read_text()))


def test_settings_are_found() -> None:
    assert {"JWT_SECRET", "DB_DSN", "DEBUG", "RATE_LIMIT", "CORS_ORIGINS", "MAX_BODY_BYTES"} <= set(defaults())
    assert defaults()["MAX_BODY_BYTES"] == "1048576"
    assert (defaults()["DEBUG"], defaults()["JWT_SECRET"]) == ("false", None)


def test_example_and_readme_have_every_variable_and_no_others() -> None:
    assert set(examples()) == set(defaults())
    assert set(rows()) == set(defaults())


@pytest.mark.parametrize("name", list(defaults()))
def test_example_has_the_default(name: str) -> None:
    value, comment = examples()[name]
    assert comment, "says nothing of what it is for"
    default = defaults()[name]
    if default is not None and value != default:
        assert f"if it is not set at all: {default}" in comment


@pytest.mark.parametrize("name", list(defaults()))
def test_readme_has_the_default(name: str) -> None:
    default = defaults()[name]
    if default is not None:
        assert rows()[name] == (f"`{default}`" if default else "empty")


def tracked_files() -> list[Path]:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no checkout of git")
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def published_secrets(text: str) -> set[str]:
    return set(SECRET.findall(text))


def test_every_published_secret_is_refused() -> None:
    found = set()
    for file in tracked_files():
        if file.is_file() and file != Path(__file__):
            found |= published_secrets(file.read_text("utf-8", errors="replace"))
    assert found <= settings.PUBLISHED_SECRETS


def test_secrets_are_found_however_they_are_written() -> None:
    secret = "s" * 32
    for line in (f"JWT_SECRET={secret}", f'export JWT_SECRET="{secret}"', f"  JWT_SECRET: '{secret}'"):
        assert published_secrets(line) == {secret}
    for line in ('JWT_SECRET="$(openssl rand -base64 48 | tr -d a)"', "JWT_SECRET=", "JWT_SECRET=short"):
        assert published_secrets(line) == set()


def test_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == VERSION == settings.APP_VERSION


@pytest.mark.parametrize("document", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_files_that_a_document_links_to_are_there(document: Path) -> None:
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [name for name in linked if not (document.parent / name).exists()] == []
