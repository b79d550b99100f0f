"""docs/security.md: each promise names a test that exists."""

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = (PROJECT / "docs" / "security.md").read_text()
ROWS = [line for line in DOCUMENT.splitlines() if re.match(r"\| (API)?\d", line)]
NAMED = re.compile(r"`(tests/[\w/.]+)(?:::(\w+))?`")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_each_promise_names_an_existing_test(row: str) -> None:
    named = NAMED.findall(row)
    assert named, "no test is named"
    for file, test in named:
        path = PROJECT / file
        assert path.exists(), file
        if test:
            defined = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
            assert test in defined, f"{file} has no {test}"
        elif path.is_dir():
            assert list(path.glob("test_*.py")), file


def test_all_ten_owasp_risks_are_covered() -> None:
    assert re.findall(r"^\| (API\d+) \|", DOCUMENT, re.MULTILINE) == [f"API{number}" for number in range(1, 11)]


def test_requirements_have_hashes() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (PROJECT / name).read_text()
        pins = re.findall(r"^[\w.\[\]-]+==[^\s]+.*(?:\n\s+.*)*", text, re.MULTILINE)
        assert len(pins) > 20
        assert [pin.splitlines()[0] for pin in pins if "--hash=sha256:" not in pin] == []


def test_readme_links_to_the_security_pages() -> None:
    readme = (PROJECT / "README.md").read_text()
    assert "docs/security.md" in readme
    assert "SECURITY.md" in readme
