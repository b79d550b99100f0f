"""Counting: exact, the same in Redis and in the process, and in bounded memory."""

import asyncio
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.ratelimit import policies
from core.ratelimit.buckets import MAX_EXACT, Bucket, LimitPlan, make_bucket, make_buckets
from core.ratelimit.local import KEYS_SEARCHED, LocalLimiter
from core.ratelimit.rates import MAX_QUOTA, Rate
from core.redis.client import RedisClient
from tests.redis_server import RedisServer
from tests.running_service import PROJECT

SOURCE = Path(policies.__file__).with_name("gcra.lua").read_text()
CLOCK = "redis.call('TIME')"
A_BILLION = Rate(1_000_000_000, 60)

quotas = st.integers(1, 50) | st.integers(1, MAX_QUOTA) | st.sampled_from([999_999_937, MAX_QUOTA])
rates = st.builds(Rate, quotas, st.sampled_from([1, 60, 3600, 86400]))
sequences = st.lists(
    st.tuples(st.integers(0, 3) | st.integers(-(10**7), 10**12), st.sampled_from([b"one", b"other"])),
    max_size=25,
)


class Clock:
    """A clock that the test sets, in microseconds."""

    now = 1_800_000_000_000_000

    def __call__(self) -> int:
        return self.now


def plan_of(*rates: Rate) -> LimitPlan:
    return LimitPlan(make_buckets("p", rates), script_sha=b"0" * 40)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def client(server: RedisServer) -> Iterator["redis.Redis"]:
    with server.client() as client:
        yield client


@settings(deadline=None)
@given(rate=rates)
def test_numbers_are_exact_in_redis_doubles(rate: Rate) -> None:
    bucket = make_bucket("p", rate)
    window = rate.window_seconds * 1_000_000 // bucket.unit_microseconds
    assert bucket.cost * rate.quota == bucket.refill * window == bucket.capacity < MAX_EXACT
    assert bucket.refill_per_second * rate.window_seconds == bucket.capacity


def test_billion_a_minute_is_counted_in_microseconds() -> None:
    bucket = make_bucket("p", A_BILLION)
    assert (bucket.unit_microseconds, bucket.cost, bucket.refill) == (1, 3, 50), "60 ns a request"


_tags = itertools.count()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limits=st.lists(rates, min_size=1, max_size=3), steps=sequences)
def test_redis_and_process_count_alike(
    client: "redis.Redis", limits: list[Rate], steps: list[tuple[int, bytes]]
) -> None:
    assert SOURCE.count(CLOCK) == 1
    script = client.register_script(SOURCE.replace(CLOCK, "{ARGV[#ARGV - 1], ARGV[#ARGV]}"))
    plan, clock, example = plan_of(*limits), Clock(), b"%d" % next(_tags)
    local = LocalLimiter(clock_microseconds=clock)
    numbers = [
        value for one in plan.buckets for value in (one.name, one.cost, one.refill, one.unit_microseconds, one.capacity)
    ]
    for step, tag in steps:
        clock.now = max(clock.now + step, 0)
        time = divmod(clock.now, 1_000_000)
        in_redis = script(keys=plan.keys(example + tag), args=[*numbers, *time])
        assert local.charge(plan, example + tag) == in_redis


@settings(deadline=None)
@given(rate=st.builds(Rate, st.integers(1, 40), st.sampled_from([1, 60, 3600, 86400])), data=st.data())
def test_no_window_passes_more_than_the_quota_and_its_refill(rate: Rate, data: st.DataObject) -> None:
    plan, clock = plan_of(rate), Clock()
    local = LocalLimiter(clock_microseconds=clock)
    window = rate.window_seconds * 1_000_000
    passed = []
    for step in data.draw(st.lists(st.integers(0, window // rate.quota * 2), max_size=120)):
        clock.now += step
        if local.charge(plan, b"x").startswith(b'"'):
            passed.append(clock.now)
    for begin, end in itertools.combinations(range(len(passed)), 2):
        refilled = (passed[end] - passed[begin]) * rate.quota // window
        assert end - begin + 1 <= rate.quota + refilled


def test_exactly_the_quota_passes_at_once() -> None:
    plan, clock = plan_of(Rate(3, 60)), Clock()
    charge = LocalLimiter(clock_microseconds=clock).charge
    verdicts = [charge(plan, b"x") for _ in range(5)]
    assert verdicts == [b'"p";r=2;t=20', b'"p";r=1;t=20', b'"p";r=0;t=20', b'20 "p";r=0;t=20', b'20 "p";r=0;t=20']
    clock.now += 19_999_999
    assert charge(plan, b"x") == b'1 "p";r=0;t=1'
    clock.now += 1
    assert charge(plan, b"x") == b'"p";r=0;t=20', "allowed after exactly Retry-After seconds"
    clock.now += 3600 * 1_000_000
    assert charge(plan, b"x") == b'"p";r=2;t=20'


def test_refusal_by_one_bucket_charges_no_bucket() -> None:
    plan, clock = plan_of(Rate(1, 1), Rate(5, 3600)), Clock()
    charge = LocalLimiter(clock_microseconds=clock).charge
    assert charge(plan, b"x") == b'"p";r=0;t=1, "p-2";r=4;t=720'
    for _ in range(10):
        assert charge(plan, b"x") == b'1 "p";r=0;t=1, "p-2";r=4;t=720'


def test_clock_set_back_an_hour_locks_nobody_out() -> None:
    plan, clock = plan_of(Rate(2, 60)), Clock()
    charge = LocalLimiter(clock_microseconds=clock).charge
    charge(plan, b"x")
    clock.now -= 3600 * 1_000_000
    assert charge(plan, b"x") == b'"p";r=0;t=30'
    clock.now += 30_000_000
    assert charge(plan, b"x") == b'"p";r=0;t=30'


def test_memory_is_bounded_and_full_buckets_are_dropped_first() -> None:
    slow, quick, clock = plan_of(Rate(1, 86400)), plan_of(Rate(1, 1)), Clock()
    local = LocalLimiter(max_keys=100, clock_microseconds=clock)
    local.charge(slow, b"kept")
    for n in range(KEYS_SEARCHED - 1):
        local.charge(quick, b"quick%d" % n)
    clock.now += 2_000_000
    for n in range(100 - 1):
        local.charge(slow, b"slow%d" % n)
        assert len(local) <= 100
    assert local.charge(slow, b"kept").startswith(b"86398 "), (
        "the least recently used key is kept while others are full"
    )
    for n in range(500):
        local.charge(slow, b"more%d" % n)
    assert len(local) == 100
    assert local.charge(slow, b"kept").startswith(b'"'), "the least recently used key was dropped"


@settings(deadline=None)
@given(limits=st.lists(rates, min_size=1, max_size=3), steps=sequences, last=st.integers(0, 10**10))
def test_process_continues_from_the_last_verdict_of_redis(
    limits: list[Rate], steps: list[tuple[int, bytes]], last: int
) -> None:
    plan, clock = plan_of(*limits), Clock()
    in_redis = LocalLimiter(clock_microseconds=clock)
    local = LocalLimiter(clock_microseconds=clock)
    for step, tag in steps:
        clock.now += abs(step)
        local.note(plan, tag, in_redis.charge(plan, tag))
    clock.now += last
    for tag in (b"one", b"other"):
        local_verdict, redis_verdict = local.charge(plan, tag), in_redis.charge(plan, tag)
        for bucket, found, exact in zip(plan.buckets, left_of(local_verdict), left_of(redis_verdict), strict=True):
            lost = -(-bucket.refill_per_second // bucket.cost) + (local_verdict[:1] != redis_verdict[:1])
            assert exact - lost <= found <= exact + (local_verdict[:1] != redis_verdict[:1])
        assert local_verdict.startswith(b'"') <= redis_verdict.startswith(b'"'), "passes only what Redis would pass"


def left_of(verdict: bytes) -> list[int]:
    return [int(one.partition(b";")[0]) for one in verdict.split(b";r=")[1:]]


def test_plans_share_the_verdicts_on_a_common_bucket() -> None:
    clock, [shared] = Clock(), make_buckets("default", [Rate(5, 60)])
    [own] = make_buckets("own", [Rate(2, 60)])
    alone, both = (LimitPlan(buckets, script_sha=b"0" * 40) for buckets in ((shared,), (shared, own)))
    local = LocalLimiter(clock_microseconds=clock)
    local.note(both, b"x", b'"default";r=3;t=12, "own";r=0;t=30')
    clock.now += 1
    local.note(LimitPlan((shared,), script_sha=b"1" * 40), b"x", b'"default";r=2;t=12')
    assert local.charge(alone, b"x") == b'"default";r=1;t=12'
    assert local.charge(both, b"x") == b'30 "default";r=1;t=12, "own";r=0;t=30'
    assert local.charge(alone, b"y") == b'"default";r=4;t=12'
    # Redis answers again, and does not know of these charges.
    clock.now += 1
    local.note(alone, b"x", b'"default";r=4;t=12')
    assert local.charge(alone, b"x") == b'"default";r=3;t=12'


def test_number_of_remembered_verdicts_is_bounded() -> None:
    plan, verdicts = plan_of(Rate(5, 60)), b'"p";r=0;t=12'
    local = LocalLimiter(max_verdicts=100, clock_microseconds=Clock())
    for number in range(1000):
        local.note(plan, b"%d" % number, verdicts)
        assert local.charge(plan, b"%d" % max(number - 45, 0))[:2] == b"12"
        assert len(local._verdicts) <= 100


CALLER = """
import asyncio, sys
from core.ratelimit.buckets import LimitPlan, make_buckets
from core.ratelimit.rates import Rate
from core.redis.client import RedisClient

async def main():
    client = RedisClient()
    sha = client.register_script(open(sys.argv[2]).read())
    plan = LimitPlan(make_buckets("p", [Rate(40, 3600), Rate(100, 3600)]), script_sha=sha)
    await client.open(sys.argv[1], 10)
    print("ready", flush=True)
    sys.stdin.readline()
    replies = await asyncio.gather(*(client.call([plan.pack(b"user")]) for _ in range(60)))
    print(sum(reply[0][:1] == b'"' for reply in replies))
    await client.close()

asyncio.run(main())
"""


def test_exactly_the_limit_passes_from_two_processes_at_once(server: RedisServer, client: "redis.Redis") -> None:
    client.flushall()
    script = Path(policies.__file__).with_name("gcra.lua")
    callers = [
        subprocess.Popen(
            [sys.executable, "-c", CALLER, server.url, str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
        )
        for _ in range(2)
    ]
    for caller in callers:
        assert caller.stdout
        assert caller.stdout.readline() == "ready\n"
    for caller in callers:
        assert caller.stdin
        caller.stdin.write("go\n")
        caller.stdin.flush()
    assert sum(int(caller.communicate(timeout=30)[0]) for caller in callers) == 40
    lives = {key: client.ttl(key) for key in client.scan_iter() if key != b"ar:probe"}
    assert set(lives) == {b"ar:rl:{user}:p:40/3600", b"ar:rl:{user}:p-2:100/3600"}
    assert 3590 < lives[b"ar:rl:{user}:p:40/3600"] <= 3660
    assert 1430 < lives[b"ar:rl:{user}:p-2:100/3600"] <= 1500, "expires a minute after the bucket is full"


@pytest.mark.parametrize("rates", [[A_BILLION], [Rate(1, 1)], [Rate(7, 86400), Rate(3, 1)]])
def test_packed_command_runs_the_script(server: RedisServer, rates: list[Rate]) -> None:
    async def main() -> None:
        client = RedisClient()
        sha = client.register_script(SOURCE)
        plan = LimitPlan(make_buckets("p", rates), script_sha=sha)
        await client.open(server.url, 5)
        tag = f"{rates}".encode()
        replies = await client.call([plan.pack(tag)] * 2)
        assert replies
        local = LocalLimiter()
        first = local.charge(plan, tag)
        assert replies[0] == first
        if rates == [A_BILLION]:
            assert first == b'"p";r=999999999;t=1'
        assert all(ttl > 0 for ttl in (await client.call([("PTTL", key) for key in plan.keys(tag)])) or [0])
        await client.close()

    asyncio.run(main())


def test_combined_rates_have_different_names() -> None:
    buckets: tuple[Bucket, ...] = make_buckets("default", [Rate(10, 1), Rate(100, 60)])
    plan = LimitPlan(buckets, script_sha=b"0" * 40)
    assert plan.policy_header == (b"ratelimit-policy", b'"default";q=10;w=1, "default-2";q=100;w=60')
