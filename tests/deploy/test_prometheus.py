"""Rules and dashboard: valid, tested, documented, and matching the metrics that a real Prometheus scrapes."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest
import yaml

from tests.deploy.prometheus_server import FOLDER, PrometheusServer, promtool, rule_groups
from tests.redis_server import RedisServer
from tests.running_service import PASSWORD, PROJECT, RunningService
from tests.waiting import await_true

DASHBOARD = json.loads((PROJECT / "deploy" / "grafana" / "dashboards" / "agent-router.json").read_text())
RULES = [rule for group in rule_groups() for rule in group["rules"]]
RECORDS = [rule for rule in RULES if "record" in rule]
ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
# Litestream's metrics are those of another program, which tests/deploy/test_litestream.py runs.
ELSEWHERE = re.compile(r"litestream_\w+")
SELECTOR = re.compile(r"(?<![\w$\"])([a-z_:][a-z0-9_:]*)(\{[^}]*\})?(?=[\s\[)/]|$)", re.MULTILINE)
NO_METRICS = {
    *("sum", "by", "le", "or", "and", "on", "unless", "rate", "increase", "delta", "max", "min", "absent", "time"),
    *("histogram_quantile", "avg_over_time", "job", "instance", "count", "view", "method", "status"),
}


def dashboard_expressions() -> dict[str, list[str]]:
    """Return the expressions of each panel, with variables filled in."""
    filled = {"$job": "agent-router", "$__rate_interval": "1m"}
    return {
        panel["title"]: [_fill(target["expr"], filled) for target in panel["targets"]]
        for panel in DASHBOARD["panels"]
        if "targets" in panel
    }


def _fill(expression: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def selectors(expression: str) -> set[str]:
    """Return the metrics that an expression reads, with their labels."""
    return {
        name + labels
        for name, labels in SELECTOR.findall(expression)
        if name not in NO_METRICS and not ELSEWHERE.fullmatch(name)
    }


def test_configuration_and_rules_are_valid() -> None:
    promtool("check", "config", str(FOLDER / "prometheus.yml"))


@pytest.mark.slow
def test_rules_pass_their_tests() -> None:
    promtool("test", "rules", *map(str, sorted((FOLDER / "tests").glob("*.yml"))))


@pytest.mark.parametrize("name", ALERTS)
def test_alert_has_a_test_and_a_runbook_entry(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in ("page", "ticket")
    files = [yaml.safe_load(file.read_text()) for file in (FOLDER / "tests").glob("*.yml")]
    tests = [one for file in files for test in file["tests"] for one in test.get("alert_rule_test", ())]
    assert any(one["alertname"] == name and one["exp_alerts"] for one in tests), "no test makes this alert fire"
    runbook, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert anchor == name.lower()
    assert f"### {name}\n" in (PROJECT / runbook).read_text()


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrometheusServer]:
    """A Prometheus that has scraped a service during use and failures."""
    folder = tmp_path_factory.mktemp("prometheus")
    with RedisServer() as redis:
        service = RunningService(
            folder,
            workers=2,
            REDIS_URL=redis.url,
            REDIS_REQUIRED="true",
            RATE_LIMIT_ROUTES='{"GET /v1/auth/sessions": "1/minute"}',
            BACKUP_DIR=str(folder / "backups"),
            DB_DSN=f"sqlite:///{folder / 'app.db'}",
        )
        with service, PrometheusServer(folder, f"127.0.0.1:{service.port}") as prometheus:
            service.manage("backup")
            # The service looks for backups at startup and every half minute.
            service.stop()
            service.start()
            wait_for(prometheus, "agent_router_build_info")
            use(service)
            redis.kill()
            break_for_a_while(service)
            wait_for(prometheus, 'rate(redis_failures_total{kind="connect"}[1m]) > 0')
            wait_for(prometheus, 'rate(auth_events_total{event="account_locked"}[1m])')
            with closing(service.user()) as client:
                for record in RECORDS:
                    # A ratio of no requests is NaN, and no comparison with NaN is true.
                    wait_for(prometheus, f"{record['record']} >= 0", meanwhile=lambda: client.get("/v1/items/"))
            yield prometheus


def wait_for(prometheus: PrometheusServer, expression: str, meanwhile: Callable[[], object] = lambda: None) -> None:
    def is_there() -> object:
        meanwhile()
        return prometheus.query(expression)

    await_true(is_there, expression)


def use(service: RunningService) -> None:
    """Cause every kind of event that has a metric."""
    with closing(service.user()) as client:
        for number in range(5):
            headers = {"Idempotency-Key": f"number-{number}"}
            made = client.post("/v1/items/", json={"name": "one"}, headers=headers).json()
            assert client.post("/v1/items/", json={"name": "one"}, headers=headers).headers["Idempotent-Replayed"]
            for _ in range(5):
                client.get(f"/v1/items/{made['id']}")
            client.get("/v1/items/")
            client.get("/v1/auth/sessions")
        client.get("/health/ready")
        refresh(client, client.tokens["refresh_token"])  # type: ignore[attr-defined]
        email = client.email  # type: ignore[attr-defined]
    with service.client() as anonymous:
        for _ in range(12):
            anonymous.post("/v1/auth/login", json={"email": email, "password": PASSWORD + "x"})


def refresh(client: httpx.Client, token: str) -> None:
    statuses = [client.post("/v1/auth/refresh", json={"refresh_token": token}).status_code for _ in range(2)]
    assert statuses == [200, 401]


def break_for_a_while(service: RunningService) -> None:
    """Cause 500 responses, and readiness failures."""
    with closing(service.user()) as client:
        service.query("ALTER TABLE item RENAME TO lost")
        assert client.get("/v1/items/").status_code == 500
        service.query("ALTER TABLE lost RENAME TO item")
        await_true(lambda: client.get("/health/ready").status_code == 503)


@pytest.mark.slow
def test_service_is_scraped_without_errors(scraped: PrometheusServer) -> None:
    [target] = scraped.api("targets")["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    groups: list[dict[str, Any]] = scraped.api("rules")["groups"]
    assert {rule["health"] for group in groups for rule in group["rules"]} == {"ok"}


@pytest.mark.slow
@pytest.mark.parametrize("rule", RECORDS, ids=lambda rule: rule["record"])
def test_recording_rule_yields_a_value(scraped: PrometheusServer, rule: dict[str, Any]) -> None:
    found = scraped.query(rule["record"])
    assert found
    assert all(series["value"][1] != "NaN" for series in found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ALERTS)
def test_alert_reads_existing_metrics(scraped: PrometheusServer, name: str) -> None:
    read = selectors(ALERTS[name]["expr"])
    assert read or "litestream" in ALERTS[name]["expr"]
    for selector in read:
        assert scraped.query(selector), f"there is no {selector}"


@pytest.mark.slow
@pytest.mark.parametrize(("title", "expressions"), dashboard_expressions().items())
def test_panel_has_data(scraped: PrometheusServer, title: str, expressions: list[str]) -> None:
    for expression in expressions:
        assert scraped.query(expression), f"{title}: {expression}"


@pytest.mark.slow
def test_alerts_fire_when_they_should(scraped: PrometheusServer) -> None:
    rules = [rule for group in scraped.api("rules")["groups"] for rule in group["rules"] if rule["type"] == "alerting"]
    states = {rule["name"]: rule["state"] for rule in rules}
    assert states["AgentRouterRefreshTokenReused"] == "firing"
    assert states["AgentRouterRedisDown"] in ("pending", "firing")
    assert states["AgentRouterDown"] == states["AgentRouterBackupTooOld"] == "inactive"


def test_dashboard_matches_its_provisioning() -> None:
    folder = PROJECT / "deploy" / "grafana" / "provisioning"
    [provider] = yaml.safe_load((folder / "dashboards" / "agent-router.yml").read_text())["providers"]
    assert provider["type"] == "file"
    sources = yaml.safe_load((folder / "datasources" / "sources.yml").read_text())["datasources"]
    assert {source["type"] for source in sources} == {"prometheus", "jaeger"}
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
