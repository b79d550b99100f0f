"""Errors among Redis' replies. They belong to the call that got them; the connection goes on.

A script that Redis does not know (NOSCRIPT: it was emptied) is loaded and its commands are sent again, once; so are
commands that a cluster's node refers to another one. An error that tells of Redis' own state ends the connection,
and with it the breaker opens. Any other is a fault of the command.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from typing import Any

from hiredis import ReplyError

from core.redis.metrics import FAILURES
from core.redis.pipeline import Call, Command, Pipeline, Replies

logger = logging.getLogger("agent_router.redis")

type Waiter = asyncio.Future[Replies]

STATE_ERRORS = frozenset(
    {
        "OOM",
        "READONLY",
        "LOADING",
        "MISCONF",
        "NOAUTH",
        "NOPERM",
        "NOREPLICAS",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "BUSY",
    }
)
# Of a cluster: the key is on another node, or on its way there.
REDIRECTIONS = frozenset({"MOVED", "ASK"})
ON_THE_MOVE = REDIRECTIONS | {"TRYAGAIN"}


class Refusals:
    """Settles the calls with an error among their replies: callers get None, or what a repetition brings.

    `redirect` is told of each redirection, and gives the pipeline to the node that it names, if there is one.
    """

    def __init__(self) -> None:
        self.redirect: Callable[[str], Pipeline | None] = lambda _: None
        self._scripts: dict[str, str] = {}
        self._raw: set[Waiter] = set()
        self._told: set[str] = set()

    def register_script(self, source: str) -> bytes:
        """The script's SHA-1 for EVALSHA."""
        sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        self._scripts[sha] = source
        return sha.encode()

    def load_commands(self) -> list[Command]:
        """The commands that make every registered script known to Redis."""
        return [("SCRIPT", "LOAD", source) for source in self._scripts.values()]

    def submit_raw(self, pipeline: Pipeline, commands: list[Command]) -> Waiter:
        """Sends the commands; errors come back among the replies."""
        future = pipeline.submit(commands)
        self._raw.add(future)
        future.add_done_callback(self._raw.discard)
        return future

    def settle(self, pipeline: Pipeline, call: Call, replies: list[Any]) -> None:
        """Settles the future of a call, now or after a repetition."""
        future, commands = call
        if future in self._raw:
            future.set_result(replies)
            return
        if unknown := _places(replies, {"NOSCRIPT"}):
            again = [*self.load_commands(), *(commands[place] for place in unknown)]
            self._repeat(pipeline, pipeline, future, replies, unknown, again, slice(-len(unknown), None))
        elif moved := _places(replies, REDIRECTIONS):
            targets = {self.redirect(str(replies[place])) for place in moved}
            target = targets.pop() if len(targets) == 1 else None
            if target and target.ready:
                # A node that has the key for good does not mind ASKING.
                again = [one for place in moved for one in (("ASKING",), commands[place])]
                self._repeat(pipeline, target, future, replies, moved, again, slice(1, None, 2))
            else:
                self._settle(pipeline, future, replies)
        else:
            self._settle(pipeline, future, replies)

    def _repeat(
        self,
        source: Pipeline,
        target: Pipeline,
        future: Waiter,
        replies: list[Any],
        places: list[int],
        commands: list[Command],
        wanted: slice,
    ) -> None:
        """Sends commands again, and puts the wanted ones of their replies in their places.

        The caller does not wait longer for it than for one answer.
        """
        if future.done():
            return
        timer = source.loop.call_later(source.left_seconds, _give_up, future)

        def end(again: Waiter) -> None:
            timer.cancel()
            repeated = again.result()
            if repeated is None:
                _give_up(future)
                return
            for place, reply in zip(places, repeated[wanted], strict=True):
                replies[place] = reply
            self._settle(target, future, replies)

        self.submit_raw(target, commands).add_done_callback(end)

    def _settle(self, pipeline: Pipeline, future: Waiter, replies: list[Any]) -> None:
        error = next((reply for reply in replies if isinstance(reply, ReplyError)), None)
        if error is not None:
            self._note(pipeline, error)
        if not future.done():
            future.set_result(None if error else replies)

    def _note(self, pipeline: Pipeline, error: ReplyError) -> None:
        code = _code(error)
        if code in STATE_ERRORS:
            pipeline.end("refused", str(error))
            return
        if code in ON_THE_MOVE:
            FAILURES.labels(kind="moved").inc()
            return
        FAILURES.labels(kind="refused").inc()
        if code not in self._told:
            self._told.add(code)
            logger.error("Redis refuses a command: %s", error)


def _code(reply: Any) -> str:
    """The first word of an error, such as NOSCRIPT; empty for what is none."""
    return str(reply).partition(" ")[0] if isinstance(reply, ReplyError) else ""


def _places(replies: list[Any], codes: set[str] | frozenset[str]) -> list[int]:
    return [place for place, reply in enumerate(replies) if _code(reply) in codes]


def _give_up(future: Waiter) -> None:
    if not future.done():
        future.set_result(None)
