"""The parts that all resources share. This is the floor plan: a package imports only from floors below its own.

    apps, templatetags, management, admin_site    Django's entry points: app, commands, admin
    operations                                    health, metrics endpoint, doctor, backups
    middleware, server, pages                     steps of a request, the ASGI handler, the service's own pages
    resources                                     model, store, lists, search, cache, idempotency
    auth, ratelimit                               accounts and credentials; rate limits
    api                                           django-ninja and the OpenAPI document
    database, redis                               connections to the database and to Redis
    http                                          requests, problems, headers, bodies
    telemetry, process, environment,              logs, metrics and traces; startup and shutdown;
    models, values, version                       settings from the environment; core's tables; ids and instants

docs/architecture.md follows a request through these floors. `make check` enforces them (import-linter, in
pyproject.toml).
"""
