"""What `make run` does once all is installed: looks at the port, migrates, tells where things are, serves.

HOST (127.0.0.1), PORT (8000) and WORKERS (1) come from the environment, settings also from .env.
"""

import contextlib
import errno
import ipaddress
import os
import socket
import sys
from pathlib import Path

import django
import uvicorn

ROOT = Path(__file__).resolve().parent.parent
APPLICATION = "agent_router.asgi:application"
# Forwarded addresses, the access log and the headers are the service's own.
FLAGS = ["--no-server-header", "--no-proxy-headers", "--no-access-log"]
# The parent of several workers never loads the service, and would print plain lines among its JSON.
PARENT_LOGS = ["--log-config", "core/server/uvicorn_logging.json"]


def main() -> None:
    os.chdir(ROOT)
    sys.path[0] = str(ROOT)
    os.environ.setdefault("ENV_FILE", ".env")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agent_router.settings")
    host = os.environ.get("HOST") or "127.0.0.1"
    port, workers = number("PORT", 8000, 65535), number("WORKERS", 1, 512)
    check_address(host, port)
    migrate()
    print(greeting(host, port), flush=True)
    # uvicorn's command line, in this process: Django is loaded already, which is most of what starting takes.
    where = ["--host", host, "--port", str(port), "--workers", str(workers)]
    uvicorn.main([APPLICATION, *where, *FLAGS, *(PARENT_LOGS if workers > 1 else [])], prog_name="uvicorn")


def number(name: str, default: int, most: int) -> int:
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        sys.exit(f"{name}={text} is not a number from 1 to {most}.")
    return int(text)


def check_address(host: str, port: int) -> None:
    """Ends with a plain word if the server could not listen there."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = port + 1 if port < 65535 else 8001
            sys.exit(f"Port {port} on {host} is taken. End what runs there, or: make run PORT={other}")
        if error.errno == errno.EACCES:
            sys.exit(f"Port {port} is reserved for root: choose one from 1024 on, as in: make run PORT=8000")
        sys.exit(f"Can't listen on HOST={host} PORT={port}: {error.strerror or error}")


def migrate() -> None:
    """Brings the database up to date; says something only if there is something to do."""
    django.setup()
    from django.core.management import call_command
    from django.db import OperationalError, connection, connections
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            print("Bringing the database up to date", flush=True)
            call_command("migrate", interactive=False)
    except OperationalError as error:
        sys.exit(f"The database that DB_DSN names can't be used: {str(error).strip()}")
    connections.close_all()


def reachable(host: str) -> str:
    """The host as it goes into a URL on this machine: loopback for a server that listens on every address."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            host = "127.0.0.1" if address.version == 4 else "::1"
    return f"[{host}]" if ":" in host else host


def greeting(host: str, port: int) -> str:
    url = f"http://{reachable(host)}:{port}"
    account = """'{"email": "me@example.com", "password": "correct-horse-42"}'"""
    json = "-H 'Content-Type: application/json'"
    return f"""
  API      {url}/v1/
  Docs     {url}/docs
  Health   {url}/health/ready
  Metrics  {url}/metrics
  Admin    {url}/admin/   (make superuser makes the first account for it)

A first token and a first item, in another terminal:

  curl -sSw '\\n' {url}/v1/auth/register {json} -d {account}
  TOKEN=$(curl -sS {url}/v1/auth/login {json} -d {account} \\
    | sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/')
  curl -sSw '\\n' {url}/v1/items/ -H "Authorization: Bearer $TOKEN" {json} -d '{{"name": "My first item"}}'

Ctrl-C ends it.
"""


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
