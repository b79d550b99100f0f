#!/bin/sh
# Restore the SQLite database if this host has none, migrate, and serve under Litestream. Litestream forwards signals,
# waits until the service has stopped, and sends the remaining changes before it exits.
set -eu

config=${LITESTREAM_CONFIG:-/etc/litestream.yml}
: "${LITESTREAM_DATABASE:?is not set}" "${LITESTREAM_REPLICA_URL:?is not set}"

# An empty replica means a first start. An unreachable replica ends the script: a new database would diverge from it.
litestream restore -config "$config" -if-db-not-exists -if-replica-exists -integrity-check quick "$LITESTREAM_DATABASE"

# Migrate before Litestream runs: Litestream cannot replicate pages that a migration allocates and frees in one
# transaction, and a replica without them cannot be restored (Litestream 0.5, "nonsequential page numbers").
python manage.py migrate --noinput --verbosity 0

# One worker: SQLite has one writer.
exec litestream replicate -config "$config" -exec \
    "python manage.py serve --host ${HOST:-0.0.0.0} --port ${PORT:-8000} --workers 1"
