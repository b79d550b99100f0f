"""docker-compose.yml: its files exist, its images are pinned, and its services fit together."""

import os
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from tests.deploy.tools import tool
from tests.running_service import PROJECT

COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OBSERVABILITY = {name for name, one in SERVICES.items() if "observability" in one.get("profiles", ())}


def configuration(name: str) -> Any:
    """Load a YAML file below deploy/."""
    return yaml.safe_load((PROJECT / "deploy" / name).read_text())


def test_profiles_match_the_readme() -> None:
    assert {name for name, one in SERVICES.items() if "profiles" not in one} == {"api", "migrate", "postgres", "redis"}
    assert {name for name, one in SERVICES.items() if "sqlite" in one.get("profiles", ())} == {
        "api-sqlite",
        "migrate-sqlite",
    }
    assert {"prometheus", "grafana", "collector"} <= OBSERVABILITY


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_pinned_and_locked_down(name: str) -> None:
    service = SERVICES[name]
    tag = service["image"].partition(":")[2]
    assert tag
    assert tag != "latest" or "build" in service
    # PostgreSQL's image starts as root to change the owner of its folder.
    assert name == "postgres" or service["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_mounted_files_exist() -> None:
    volumes = [volume.split(":") for one in SERVICES.values() for volume in one.get("volumes", ())]
    for source, *_, mode in (volume for volume in volumes if volume[0].startswith("./")):
        assert (PROJECT / source).exists()
        assert mode == "ro"
    assert {source for source, *_ in volumes if not source.startswith(".")} == set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", ["api", "api-sqlite"])
def test_prometheus_scrapes_the_service_by_its_name(name: str) -> None:
    assert f'"{name}"' in SERVICES[name]["environment"]["ALLOWED_HOSTS"]
    [job] = [one for one in configuration("prometheus/prometheus.yml")["scrape_configs"] if "dns_sd_configs" in one]
    assert name in job["dns_sd_configs"][0]["names"]
    assert job["relabel_configs"] == [
        {"source_labels": ["__meta_dns_name"], "target_label": "__address__", "replacement": "$1:8000"}
    ]


def test_observability_services_are_connected() -> None:
    sources = configuration("grafana/provisioning/datasources/sources.yml")["datasources"]
    hosts = {re.split("[/:]+", source["url"])[1] for source in sources}
    collector = configuration("otel-collector.yml")
    pipeline = collector["service"]["pipelines"]["traces"]
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == set(collector[kind])
    hosts |= {exporter["endpoint"].partition(":")[0] for exporter in collector["exporters"].values()}
    assert hosts <= OBSERVABILITY
    [provider] = configuration("grafana/provisioning/dashboards/agent-router.yml")["providers"]
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]


@pytest.mark.parametrize("profile", ["", "sqlite", "observability", "backup"])
def test_podman_accepts_the_file(profile: str) -> None:
    if shutil.which("podman") is None:
        pytest.skip("podman is not on this machine, and podman-compose needs it: apt install podman")
    command = [tool("podman-compose", "pip install podman-compose"), *(["--profile", profile] if profile else [])]
    environment = os.environ | {"JWT_SECRET": "x" * 40}
    done = subprocess.run(
        [*command, "config"], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) >= {name for name, one in SERVICES.items() if profile in one.get("profiles", [""])}
