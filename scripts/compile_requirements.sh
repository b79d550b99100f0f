#!/bin/sh
# Pin the dependencies of pyproject.toml, with hashes, for every platform and each Python from 3.12 on.
# Pinned versions stay unless pyproject.toml excludes them, or --upgrade is given.
set -eu

uv=$(command -v uv || command -v .venv/bin/uv) || {
    echo "make requirements needs uv: pip install uv" >&2
    exit 1
}

compile() {
    output=$1
    shift
    echo "Pinning $output"
    "$uv" pip compile pyproject.toml --quiet --universal --python-version 3.12 --generate-hashes \
        --custom-compile-command "make requirements" --output-file "$output" "$@"
}

compile requirements.txt "$@"
compile requirements-dev.txt --group dev --constraints requirements.txt "$@"
