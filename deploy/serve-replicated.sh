#!/bin/sh
# Restores the SQLite database if this host has none, migrates, then serves with Litestream beside it. Litestream passes
# signals on, waits for the service to end, and sends what is left before it ends itself.
set -eu

config=${LITESTREAM_CONFIG:-/etc/litestream.yml}
: "${LITESTREAM_DATABASE:?is not set}" "${LITESTREAM_REPLICA_URL:?is not set}"

# An empty replica is a first start. One that cannot be reached ends this here: a new database would part from it.
litestream restore -config "$config" -if-db-not-exists -if-replica-exists -integrity-check quick "$LITESTREAM_DATABASE"

# Before Litestream looks: it cannot replicate pages that a migration takes and frees again in one transaction, and a
# replica that lacks them cannot be restored (Litestream 0.5, "nonsequential page numbers").
python manage.py migrate --noinput --verbosity 0

# One worker: SQLite has one writer.
exec litestream replicate -config "$config" -exec "uvicorn agent_router.asgi:application \
    --host ${HOST:-0.0.0.0} --port ${PORT:-8000} --workers 1 \
    --no-server-header --no-proxy-headers --no-access-log"
