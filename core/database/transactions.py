"""Transactions of write jobs, on both databases."""

from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from django.db.transaction import TransactionManagementError


def run_atomically[T](job: Callable[[], T]) -> T:
    """Run a job in a transaction, or in a savepoint of the open transaction."""
    with transaction.atomic():
        result = job()
        check_not_doomed()
        mark_hooks_robust()
    return result


def mark_hooks_robust() -> None:
    """Make Django log the errors of on_commit hooks: the commit stands, and other jobs may share it."""
    hooks: Any = connection.run_on_commit
    if hooks:
        hooks[:] = [(savepoints, hook, True) for savepoints, hook, _ in hooks]


def check_not_doomed() -> None:
    """Raise TransactionManagementError if the transaction can only be rolled back: Django would do so silently."""
    if connection.needs_rollback:
        raise TransactionManagementError("the job went on after a database error")
