"""The service calls nothing that a client names: no module of it can."""

import ast
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
CLIENTS = {"aiohttp", "ftplib", "http.client", "httpx", "requests", "smtplib", "urllib.request", "urllib3", "xmlrpc"}
DANGEROUS = {"pickle", "marshal", "shelve", "xml", "yaml", "telnetlib"}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return {".".join(name.split(".")[:depth]) for name in found for depth in (1, 2)}


def test_no_module_calls_what_a_client_names() -> None:
    modules = [path for package in ("agent_router", "core", "items") for path in (PROJECT / package).rglob("*.py")]
    assert len(modules) > 100
    assert {str(path.relative_to(PROJECT)): found for path in modules if (found := imports(path) & CLIENTS)} == {}


def test_no_module_reads_what_could_run() -> None:
    modules = [path for package in ("agent_router", "core", "items") for path in (PROJECT / package).rglob("*.py")]
    assert {str(path.relative_to(PROJECT)): found for path in modules if (found := imports(path) & DANGEROUS)} == {}
