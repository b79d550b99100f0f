"""The limit of open files."""

import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, resource
from core.process.open_files import OpenFiles
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
asyncio.run(OpenFiles().open())
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard", "then"), [(256, 900, "900 900"), (900, 900, "900 900")])
def test_soft_limit_is_raised_to_the_hard_limit(soft: int, hard: int, then: str) -> None:
    command = [sys.executable, "-c", SCRIPT.format(soft=soft, hard=hard)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == then
    assert done.stderr == ""
