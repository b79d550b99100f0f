"""What holds for every job that writes, on each database."""

from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from django.db.transaction import TransactionManagementError


def run_atomically[T](job: Callable[[], T]) -> T:
    """Runs a job in a transaction, or in a savepoint of the one that is open."""
    with transaction.atomic():
        result = job()
        refuse_if_undone()
        mark_robust()
    return result


def mark_robust() -> None:
    """What is to be done after the commit cannot undo it: its failure is logged, and harms no other job."""
    hooks: Any = connection.run_on_commit
    if hooks:
        hooks[:] = [(savepoints, hook, True) for savepoints, hook, _ in hooks]


def refuse_if_undone() -> None:
    """Raises TransactionManagementError if the transaction can only be rolled back."""
    if connection.needs_rollback:
        # Django would undo the job without a word, and its caller would take it for done.
        raise TransactionManagementError("the job went on after a database error")
