#!/bin/sh
# Print the path of a Python that can run the project; without one, print how to install Python and exit with 1.
# Run each candidate, because a version manager's shim may exist and fail. PYTHON=/path/to/python selects one.
set -u

# 0: usable. 3: too old, or broken. 4: new enough, but lacks modules that `python -m venv` needs.
try() {
    command -v "$1" >/dev/null 2>&1 || return 3
    "$1" - >/dev/null 2>&1 <<'EOF'
import sys
if sys.version_info < (3, 12):
    sys.exit(3)
try:
    import ensurepip, sqlite3, ssl, venv
except ImportError:
    sys.exit(4)
EOF
}

offer() {
    try "$1"
    case $? in
        0) command -v "$1"; exit 0 ;;
        4) incomplete=$1 ;;
    esac
}

incomplete=
if [ -n "${PYTHON:-}" ]; then
    offer "$PYTHON"
    echo "PYTHON=$PYTHON is not a working Python 3.12 or newer with venv, ssl and sqlite3." >&2
    exit 1
fi

offer .venv/bin/python
for name in python3.13 python3.12 python3.14 python3 python; do
    offer "$name"
done
for folder in "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/3.1[3-9]* "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/3.12*; do
    offer "$folder/bin/python"
done
if command -v uv >/dev/null 2>&1; then
    found=$(uv python find '>=3.12' 2>/dev/null) && offer "$found"
fi

{
    echo "Agent Router needs Python 3.12 or newer, and none was found."
    if [ -n "$incomplete" ]; then
        echo "($incomplete is new enough, but lacks venv, ssl or sqlite3; on Debian and Ubuntu: apt install python3-venv)"
    fi
    echo "Install one in any of these ways, and run make again:"
    echo "  Debian 13, Ubuntu 24.04    apt install python3 python3-venv"
    echo "  macOS                      brew install python@3.13"
    echo "  with uv, anywhere          uv python install 3.13"
    echo "  with pyenv, anywhere       pyenv install 3.13"
    echo "Python in another place:     make run PYTHON=/path/to/python3.13"
} >&2
exit 1
