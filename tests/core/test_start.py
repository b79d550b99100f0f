"""What a worker loads before its first answer: nothing that the answer does not need."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.running_service import PROJECT, RunningService


def after_start(folder: Path, script: str, **variables: str) -> str:
    """What a script prints that runs in a process into which the application has been loaded."""
    environment = RunningService(folder, REDIS_URL="").environment | variables
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, agent_router.asgi\n{script}"],
        cwd=PROJECT, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.mark.parametrize(
    "name",
    [
        "opentelemetry",  # without traces
        "psycopg",  # on SQLite
        "redis",  # without a REDIS_URL
        "django.test",
        "unittest",
        "items.admin",
        "django.contrib.auth.forms",  # with the admin
        "core.openapi.document",
        "core.doctor",
        "argon2",
        "jwt",
        "importlib.metadata",  # unless something has loaded it before, such as a debugger
        "django.db.migrations.executor",
        "core.admin_site.overview.figures",
        "core.log_text",  # when stdout is no terminal
    ],
)
def test_a_start_does_not_load(tmp_path: Path, name: str) -> None:
    script = f"print([one for one in sys.modules if one == {name!r} or one.startswith({name + '.'!r})])"
    assert after_start(tmp_path, script) == "[]"


def test_plugins_of_pydantic_are_looked_for_if_so_set(tmp_path: Path) -> None:
    script = """
import importlib.metadata, zipfile
from pydantic.plugin import _loader
print(_loader._plugins == {}, _loader.entry_points is not None, importlib.metadata.version("django") > "5")"""
    assert after_start(tmp_path, script, PYDANTIC_DISABLE_PLUGINS="") == "True True True"


@pytest.mark.parametrize(
    "use",
    [
        "import importlib.metadata; found = importlib.metadata.version('django')",
        "from importlib import metadata; found = metadata.version(distribution_name='django')",
        "from importlib.metadata import distribution; found = distribution('django').version",
        "from importlib.metadata import entry_points; found = entry_points(group='console_scripts')",
    ],
)
def test_stand_in_is_as_good_as_the_module(tmp_path: Path, use: str) -> None:
    script = f"""
assert "importlib.metadata" not in sys.modules
from core.left_out import modules_left_out
with modules_left_out():
    {use}
    print(bool(found))
import importlib.metadata
print(type(importlib.metadata).__name__, importlib.metadata is sys.modules["importlib.metadata"])"""
    assert after_start(tmp_path, script).split() == ["True", "module", "True"]


def test_djangos_test_client_is_there_all_the_same(tmp_path: Path) -> None:
    script = """
from django.test import Client, signals
from ninja.conf import setting_changed
print(signals.setting_changed is setting_changed, signals.template_rendered is not None)"""
    assert after_start(tmp_path, script) == "True True"
