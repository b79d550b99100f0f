"""manage.py serve [--host HOST] [--port PORT] [--workers N]"""

import os
from argparse import ArgumentParser, ArgumentTypeError
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.server.serve import CannotListenError, serve

MAX_PORT = 65535
MAX_WORKERS = 512


class Command(BaseCommand):
    help = "Serve HTTP until SIGTERM or Ctrl-C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        host = os.environ.get("HOST") or "127.0.0.1"
        port = os.environ.get("PORT") or "8000"
        workers = os.environ.get("WORKERS") or os.environ.get("WEB_CONCURRENCY") or "1"
        parser.add_argument("--host", default=host, help="address to listen on (default: HOST, or 127.0.0.1)")
        parser.add_argument(
            "--port",
            type=partial(_number, "PORT", MAX_PORT),
            default=port,
            help="port to listen on (default: PORT, or 8000)",
        )
        parser.add_argument(
            "--workers",
            type=partial(_number, "WORKERS", MAX_WORKERS),
            default=workers,
            help="processes (default: WORKERS, or 1)",
        )

    def handle(self, *_: Any, host: str, port: int, workers: int, **__: Any) -> None:
        try:
            serve(host, port, workers)
        except CannotListenError as error:
            raise CommandError(str(error)) from error


def _number(name: str, maximum: int, text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= maximum):
        raise ArgumentTypeError(f"{name}={text} is not a number from 1 to {maximum}")
    return int(text)
