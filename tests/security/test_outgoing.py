"""No module of the service can send requests to a target that a client names."""

import ast
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
CLIENTS = {"aiohttp", "ftplib", "http.client", "httpx", "requests", "smtplib", "urllib.request", "urllib3", "xmlrpc"}
DANGEROUS = {"pickle", "marshal", "shelve", "xml", "yaml", "telnetlib"}


def imported_modules(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return {".".join(name.split(".")[:depth]) for name in found for depth in (1, 2)}


def modules_that_import(names: set[str]) -> list[str]:
    modules = [path for package in ("agent_router", "core", "items") for path in (PROJECT / package).rglob("*.py")]
    assert len(modules) > 100
    return [str(path.relative_to(PROJECT)) for path in modules if imported_modules(path) & names]


def test_no_module_imports_an_http_client() -> None:
    assert modules_that_import(CLIENTS) == []


def test_no_module_imports_an_unsafe_parser() -> None:
    assert modules_that_import(DANGEROUS) == []
