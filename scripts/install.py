"""Set up the project: .venv with the pinned, hashed requirements, .env with a random secret, data/.

    python scripts/install.py runtime    for the service
    python scripts/install.py dev        for the service, tests and checks

Skip finished steps. This script runs before anything is installed, so it uses only the standard library.
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
# Holds a copy of each installed requirements file. A file that differs from its copy is installed again.
INSTALLED = VENV / "installed"
REQUIREMENTS = {"runtime": ["requirements.txt"], "dev": ["requirements-dev.txt", "requirements.txt"]}
HEARTBEAT_SECONDS = 5.0


class SetupError(Exception):
    """Why the setup failed, in words for the user of `make`."""


def main(kind: str) -> None:
    with alone():
        make_venv()
        install_requirements(kind)
        write_env()
        (ROOT / "data").mkdir(mode=0o700, exist_ok=True)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other `make` sets up this folder. The operating system releases the lock of a killed process."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("Another make is setting up the project: waiting.")
        fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(folder)


def make_venv() -> None:
    """Create .venv, or replace one whose Python is broken or too old."""
    if VENV_PYTHON.exists() and runs(VENV_PYTHON, "import sys; sys.exit(sys.version_info < (3, 12))"):
        return
    if VENV.exists():
        if not (VENV / "pyvenv.cfg").exists() and any(VENV.iterdir()):
            raise SetupError(f"{VENV} is not a virtual environment: move it away, then run make again.")
        say("The Python in .venv is broken or too old: replacing .venv.")
    version = ".".join(map(str, sys.version_info[:3]))
    say(f"Creating .venv with Python {version} ({sys.executable})")
    run([sys.executable, "-m", "venv", "--clear", str(VENV)], "creating the virtual environment")


def install_requirements(kind: str) -> None:
    wanted = {INSTALLED / name: (ROOT / name).read_bytes() for name in REQUIREMENTS[kind]}
    if all(copy.exists() and copy.read_bytes() == content for copy, content in wanted.items()):
        return
    # An interrupted installation must not look finished.
    shutil.rmtree(INSTALLED, ignore_errors=True)
    requirements = ROOT / REQUIREMENTS[kind][0]
    total = len(re.findall(rb"^[A-Za-z0-9]", requirements.read_bytes(), re.MULTILINE))
    if not install_with_uv(requirements, total):
        install_with_pip(requirements, total)
    INSTALLED.mkdir()
    for copy, content in wanted.items():
        copy.write_bytes(content)


def install_with_uv(requirements: Path, total: int) -> bool:
    """Return whether uv exists and succeeded. uv ignores pip's configuration, so pip may succeed where uv fails."""
    uv = shutil.which("uv")
    if uv is None:
        return False
    say(f"Installing {total} packages from {requirements.name} with uv")
    target = ["--python", str(VENV_PYTHON)]
    install = [uv, "pip", "install", *target, "--require-hashes", "-r", str(requirements)]
    try:
        run(install, "uv pip install", total)
        run([uv, "pip", "check", *target], "uv pip check")
    except SetupError:
        say("uv failed: trying pip.")
        return False
    return True


def install_with_pip(requirements: Path, total: int) -> None:
    say(f"Installing {total} packages from {requirements.name} with pip: a minute or two the first time")
    pip = [str(VENV_PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    if not runs(VENV_PYTHON, "import pip"):
        run([str(VENV_PYTHON), "-m", "ensurepip"], "installing pip")
    run([*pip, "install", "--require-hashes", "-r", str(requirements)], "pip install", total)
    run([*pip, "check"], "pip check")


def write_env() -> None:
    """Create .env from env.example with a random secret, unless .env exists."""
    env = ROOT / ".env"
    if env.exists() or env.is_symlink():
        return
    example = (ROOT / "env.example").read_text(encoding="utf-8")
    text = re.sub("^JWT_SECRET=$", f"JWT_SECRET={secrets.token_urlsafe(48)}", example, flags=re.MULTILINE)
    if text == example:
        raise SetupError("env.example has no line JWT_SECRET= to fill in.")
    new = ROOT / ".env.new"
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    new.rename(env)
    say("Wrote .env from env.example, with a new JWT_SECRET")


def runs(python: Path, code: str) -> bool:
    try:
        return subprocess.run([str(python), "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run(command: list[str], what: str, total: int = 0) -> None:
    """Run a command and show its progress: in a terminal on one line, otherwise in a line every few seconds.

    Raise SetupError with the end of the command's output if the command fails.
    """
    # These settings of pip prevent installing into a virtual environment.
    env = {**os.environ, "PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PYTHONUNBUFFERED": "1"}
    lines: list[str] = []
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
    reader.start()
    show_progress(reader, lines, total)
    if process.wait() != 0:
        end = "".join(f"    {line}" for line in lines[-15:]).rstrip()
        raise SetupError(f"{what} failed (exit code {process.returncode}). The end of its output:\n{end}")


def show_progress(reader: threading.Thread, lines: list[str], total: int) -> None:
    started, terminal = time.monotonic(), sys.stdout.isatty()
    shown = started
    while True:
        reader.join(0.2 if terminal else 1.0)
        now = time.monotonic()
        if not reader.is_alive():
            break
        if terminal or now - shown >= HEARTBEAT_SECONDS:
            shown = now
            line = f"  {now - started:3.0f} s  {stage(lines, total)}"
            print(f"\r\033[K{line}" if terminal else line, end="" if terminal else "\n", flush=True)
    if terminal:
        print("\r\033[K", end="", flush=True)


def stage(lines: list[str], total: int) -> str:
    """Return the progress from pip's output so far; uv prints nothing until it has finished."""
    if any(line.startswith("Installing collected packages") for line in lines):
        return "unpacking"
    seen = sum(line.startswith(("Collecting ", "Requirement already satisfied")) for line in lines)
    return f"{min(seen, total)} of {total} packages checked" if seen and total else "working"


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except SetupError as error:
        sys.exit(f"{error}\nFix the cause and run make again; finished steps are kept.")
    except OSError as error:
        sys.exit(f"Setting up failed: {error}")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. Run make again to continue.")
