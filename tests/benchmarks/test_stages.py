"""A sample counts for the stage of its innermost frame that has one, and each thread's time is divided separately."""

import pytest

from benchmarks.stages import LOOP, divide, stage_of

BASE = "<module> (/venv/uvicorn/__main__.py:4);Server.run (uvicorn/server.py:70);run (asyncio/x.py:1)"
THREAD = "Thread._bootstrap (threading.py:1014);ThreadGroup._run (core/database/threads.py:120)"


@pytest.mark.parametrize(
    ("frames", "stage"),
    [
        ("", LOOP),
        (";RequestResponseCycle.send (uvicorn/protocols/http/httptools_impl.py:500)", "HTTP"),
        (";Handler.serve (core/server/handler.py:1);AsyncOperation.run (ninja/operation.py:9)", "ninja"),
        (";middleware (core/middleware/access_log.py:1);loads (json/decoder.py:3)", "access log"),
        (";middleware (core/middleware/rate_limit.py:1);RedisClient.call (core/redis/client.py:3)", "Redis"),
        (";middleware (core/middleware/request_id.py:1)", "other middleware"),
    ],
)
def test_stage_of_a_stack(frames: str, stage: str) -> None:
    assert stage_of(BASE + frames).startswith(stage)


def test_time_of_each_thread_is_divided_separately() -> None:
    folded = (
        f"{BASE} 30\n{BASE};Handler.serve (core/server/handler.py:1) 10\n"
        f"{THREAD};execute (core/database/sqlite/options.py:9) 1\n"
    )
    found = divide(folded, loop_us=100.0, others_us=50.0)
    assert found[LOOP] == 75.0
    assert found["handler: request, route, response"] == 25.0
    assert found["statements, transactions"] == 50.0
