"""Run every check that needs no running service, even after a failure. Exit with 1 if one failed."""

import os
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"

STEPS = {
    "lint (ruff)": ["-m", "ruff", "check", "."],
    "format (ruff)": ["-m", "ruff", "format", "--check", "."],
    "pinned requirements": ["scripts/check_pins.py"],
    "types (mypy)": ["-m", "mypy", "--show-traceback"],
    "direction of imports (import-linter)": ["-c", IMPORTS, "--no-logo"],
    "security (bandit)": ["-m", "bandit", "-q", "-ll", "-c", "pyproject.toml", "-r", "."],
    "migrations are complete": ["manage.py", "makemigrations", "--check", "--dry-run"],
    "safe to deploy": ["manage.py", "check", "--deploy", "--fail-level", "WARNING"],
    "documentation matches the code (pytest)": ["-m", "pytest", "-q", "tests/test_documentation.py"],
}


def main() -> None:
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        env = production(Path(folder))
        for name, command in STEPS.items():
            # The tests have their own settings.
            if not passes(name, command, env=dict(os.environ) if "pytest" in command else env):
                failed.append(name)
    if failed:
        sys.exit(f"\n{len(failed)} of {len(STEPS)} checks failed: {', '.join(failed)}")
    print(f"All {len(STEPS)} checks passed.")


def production(folder: Path) -> dict[str, str]:
    """Return the environment of a production service with only the required settings, and no database yet."""
    inherited = {name: value for name, value in os.environ.items() if name != "ENV_FILE"}
    return {
        **inherited,
        "APP_ENV": "production",
        "ALLOWED_HOSTS": '["api.example.com"]',
        "CORS_ORIGINS": '["https://app.example.com"]',
        "DB_DSN": f"sqlite:///{folder / 'check.db'}",
        "REDIS_URL": "",
        "JWT_SECRET": secrets.token_urlsafe(48),
    }


def passes(name: str, command: list[str], *, env: dict[str, str]) -> bool:
    print(f"  {name} ...", end=" ", flush=True)
    started = time.monotonic()
    done = subprocess.run([PYTHON, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    took = f"{time.monotonic() - started:.1f} s"
    if done.returncode == 0:
        print(f"ok ({took})", flush=True)
        return True
    print(f"FAILED ({took})", flush=True)
    print((done.stdout + done.stderr).strip(), end="\n\n", flush=True)
    return False


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
