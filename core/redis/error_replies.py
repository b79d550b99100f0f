"""Error replies of Redis. They concern one call; the connection goes on.

- NOSCRIPT (Redis lost its scripts): load the scripts and send the commands again, once.
- MOVED, ASK (another node of the cluster has the key): send the commands to that node, once.
- An error about Redis' own state, such as OOM: end the connection, which opens the circuit breaker.
- Any other error is a bug in the command: log it once.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hiredis import ReplyError

from core.redis.metrics import FAILURES
from core.redis.pipeline import Call, Command, Pipeline, Replies, give_up

logger = logging.getLogger("agent_router.redis")

type Waiter = asyncio.Future[Replies]

STATE_ERRORS = frozenset(
    {"OOM", "READONLY", "LOADING", "MISCONF", "NOAUTH", "NOPERM", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "BUSY"}
)
REDIRECTIONS = frozenset({"MOVED", "ASK"})
# TRYAGAIN: the keys of one command are on two nodes while their slot migrates.
MIGRATION_ERRORS = REDIRECTIONS | {"TRYAGAIN"}


@dataclass(slots=True)
class _Retry:
    """Commands of a call that are sent again. `wanted` selects their replies, which replace those at `positions`."""

    future: Waiter
    replies: list[Any]
    positions: list[int]
    commands: list[Command]
    wanted: slice
    target: Pipeline


class ErrorReplies:
    """Settles calls with an error among their replies: the caller receives None, or the replies after a retry.

    In a cluster, `redirect` returns the pipeline to the node that a MOVED or ASK error names, or None.
    """

    def __init__(self) -> None:
        self.redirect: Callable[[str], Pipeline | None] | None = None
        self._scripts: dict[str, str] = {}
        self._raw: set[Waiter] = set()
        self._logged_codes: set[str] = set()

    def register_script(self, source: str) -> bytes:
        sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        self._scripts[sha] = source
        return sha.encode()

    def load_commands(self) -> list[Command]:
        return [("SCRIPT", "LOAD", source) for source in self._scripts.values()]

    def submit_raw(self, pipeline: Pipeline, commands: list[Command]) -> Waiter:
        """Send commands whose replies may contain errors."""
        future = pipeline.submit(commands)
        self._raw.add(future)
        future.add_done_callback(self._raw.discard)
        return future

    def settle(self, pipeline: Pipeline, call: Call, replies: list[Any]) -> None:
        future, commands = call
        if future in self._raw:
            future.set_result(replies)
        elif retry := self._retry_of(pipeline, future, commands, replies):
            self._send_again(pipeline, retry)
        else:
            self._finish(pipeline, future, replies)

    def _retry_of(self, pipeline: Pipeline, future: Waiter, commands: Any, replies: list[Any]) -> _Retry | None:
        if unknown := _positions(replies, {"NOSCRIPT"}):
            again = [*self.load_commands(), *(commands[position] for position in unknown)]
            return _Retry(future, replies, unknown, again, slice(-len(unknown), None), pipeline)
        if self.redirect and (moved := _positions(replies, REDIRECTIONS)):
            targets = {self.redirect(str(replies[position])) for position in moved}
            target = targets.pop() if len(targets) == 1 else None
            if target and target.ready:
                # After a MOVED the node ignores ASKING.
                again = [command for position in moved for command in (("ASKING",), commands[position])]
                return _Retry(future, replies, moved, again, slice(1, None, 2), target)
        return None

    def _send_again(self, source: Pipeline, retry: _Retry) -> None:
        """Send the commands again, within the timeout of the original call."""
        if retry.future.done():
            return
        timer = source.loop.call_later(source.left_seconds, give_up, retry.future)
        again = self.submit_raw(retry.target, retry.commands)
        again.add_done_callback(partial(self._finish_retry, retry, timer))

    def _finish_retry(self, retry: _Retry, timer: asyncio.TimerHandle, again: Waiter) -> None:
        timer.cancel()
        repeated = again.result()
        if repeated is None:
            give_up(retry.future)
            return
        for position, reply in zip(retry.positions, repeated[retry.wanted], strict=True):
            retry.replies[position] = reply
        self._finish(retry.target, retry.future, retry.replies)

    def _finish(self, pipeline: Pipeline, future: Waiter, replies: list[Any]) -> None:
        error = next((reply for reply in replies if isinstance(reply, ReplyError)), None)
        if error is not None:
            self._note(pipeline, error)
        if not future.done():
            future.set_result(None if error else replies)

    def _note(self, pipeline: Pipeline, error: ReplyError) -> None:
        code = _code(error)
        if code in STATE_ERRORS:
            pipeline.end("refused", str(error))
        elif code in MIGRATION_ERRORS:
            FAILURES.labels(kind="moved").inc()
        else:
            FAILURES.labels(kind="refused").inc()
            if code not in self._logged_codes:
                self._logged_codes.add(code)
                logger.error("Redis refuses a command: %s", error)


def _code(reply: Any) -> str:
    return str(reply).partition(" ")[0] if isinstance(reply, ReplyError) else ""


def _positions(replies: list[Any], codes: set[str] | frozenset[str]) -> list[int]:
    return [position for position, reply in enumerate(replies) if _code(reply) in codes]
