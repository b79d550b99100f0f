"""`make run`, once everything is installed: check the port, migrate, print a tour, serve.

HOST (127.0.0.1), PORT (8000) and WORKERS (1) come from the environment or from .env, like all settings.
"""

import contextlib
import ipaddress
import os
import sys

import django
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from core.management.commands.serve import Command
from core.server.serve import CannotListenError, check_address
from scripts.tour import tour

BANNER = """
  API      {url}/v1/
  Docs     {url}/docs
  Health   {url}/health/ready
  Metrics  {url}/metrics
  Admin    {url}/admin/   (make superuser creates an account)

Paste this into another terminal, as often as you like:

{tour}

Ctrl-C stops the service.
"""


def main() -> None:
    os.environ.setdefault("ENV_FILE", ".env")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agent_router.settings")
    django.setup()
    try:
        options = Command().create_parser("make", "run").parse_args([])
        check_address(options.host, options.port)
    except (CommandError, CannotListenError) as error:
        sys.exit(str(error))
    migrate()
    print(banner(options.host, options.port), flush=True)
    where = ["--host", options.host, "--port", str(options.port), "--workers", str(options.workers)]
    os.execv(sys.executable, [sys.executable, "manage.py", "serve", *where])  # noqa: S606


def migrate() -> None:
    """Apply pending migrations; print nothing if there are none."""
    try:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            print("Applying migrations", flush=True)
            call_command("migrate", interactive=False)
    except OperationalError as error:
        sys.exit(f"The database in DB_DSN is not usable: {str(error).strip()}")


def banner(host: str, port: int) -> str:
    url = f"http://{reachable(host)}:{port}"
    return BANNER.format(url=url, tour=tour(url))


def reachable(host: str) -> str:
    """Return the host as part of a URL on this machine: loopback for a server that listens on every address."""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            host = "127.0.0.1" if address.version == 4 else "::1"
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
