"""All settings: first the environment variables with their types and defaults, then Django's own settings.

docs/settings.md explains each variable. Invalid settings are reported together, and the process exits with 1.
docs/decisions/0009-strict-configuration.md explains why.
"""

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

from core.database.dsn import parse_dsn, parse_replica_dsns
from core.environment import REQUIRED, Environment, check_hosts, check_origins
from core.http.forwarded import parse_trusted_proxies
from core.http.paths import ADMIN_PREFIX, STATIC_PREFIX
from core.ratelimit.rates import parse_rates, parse_route_rates
from core.redis.url import check_url, django_cache
from core.telemetry import multiprocess, redaction
from core.telemetry.logs import configuration as logging_configuration
from core.version import VERSION

# prometheus_client reads PROMETHEUS_MULTIPROC_DIR when it is imported, so this call comes first.
multiprocess.prepare()

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment()

# --- Application --------------------------------------------------------------------------------------------------

APP_NAME = env.text("APP_NAME", "Agent Router API")
APP_VERSION = VERSION
APP_ENV = env.text("APP_ENV", "development", choices=("development", "production", "test"))
IS_PRODUCTION = APP_ENV == "production"
DEBUG = env.boolean("DEBUG", False)

# --- Network ------------------------------------------------------------------------------------------------------

ALLOWED_HOSTS = env.strings("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"], check=check_hosts)
CORS_ALLOWED_ORIGINS = env.strings("CORS_ORIGINS", ["http://localhost:3000"], check=check_origins)
TRUSTED_PROXIES = env.parsed("TRUSTED_PROXIES", "", parse_trusted_proxies)
MAX_BODY_BYTES = env.integer("MAX_BODY_BYTES", 1024 * 1024, minimum=1)
BODY_TIMEOUT_SECONDS = env.integer("BODY_TIMEOUT_SECONDS", 30, minimum=1)
SHUTDOWN_TIMEOUT_SECONDS = env.integer("SHUTDOWN_TIMEOUT_SECONDS", 30, minimum=1)
MAX_REQUESTS_IN_FLIGHT = env.integer("MAX_REQUESTS_IN_FLIGHT", 2000, minimum=1)

# --- Database, cache, backups -------------------------------------------------------------------------------------

DB_BEHIND_PGBOUNCER = env.boolean("DB_BEHIND_PGBOUNCER", False)
_parse_dsn = partial(parse_dsn, base_dir=BASE_DIR, is_behind_pgbouncer=DB_BEHIND_PGBOUNCER)
DATABASE: dict[str, Any] = env.parsed("DB_DSN", "sqlite:///./data/app.db", _parse_dsn)
DB_REPLICAS = env.parsed(
    "DB_REPLICA_DSN",
    "",
    partial(parse_replica_dsns, base_dir=BASE_DIR, is_behind_pgbouncer=DB_BEHIND_PGBOUNCER),
)
DB_POOL_SIZE = env.integer("DB_POOL_SIZE", 8 if (DATABASE or {}).get("PORT") is not None else 4, minimum=1, maximum=200)
DB_MAX_WAITING = env.integer("DB_MAX_WAITING", 2000, minimum=1)
DB_MAX_WAIT_SECONDS = env.integer("DB_MAX_WAIT_SECONDS", 10, minimum=1)
REDIS_URL = env.parsed("REDIS_URL", "redis://localhost:6379/0", check_url)
REDIS_REQUIRED = env.boolean("REDIS_REQUIRED", False)
# No request may take 50 ms longer because of Redis. The fallback after this timeout needs a part of the 50 ms.
REDIS_TIMEOUT_SECONDS = 0.04
CACHE_TTL = env.integer("CACHE_TTL", 60, minimum=1)
BACKUP_DIR = env.parsed("BACKUP_DIR", "", lambda path: str(BASE_DIR / path) if path else "")

# --- Accounts -----------------------------------------------------------------------------------------------------

JWT_SECRET = env.text("JWT_SECRET", REQUIRED)
JWT_SECRET_PREVIOUS = env.text("JWT_SECRET_PREVIOUS", "")
ACCESS_TOKEN_TTL = env.integer("ACCESS_TOKEN_TTL", 15 * 60, minimum=1)
REFRESH_TOKEN_IDLE_TTL = env.integer("REFRESH_TOKEN_IDLE_TTL", 7 * 86400, minimum=1)
REFRESH_TOKEN_ABSOLUTE_TTL = env.integer("REFRESH_TOKEN_ABSOLUTE_TTL", 30 * 86400, minimum=1)
REGISTRATION_OPEN = env.boolean("REGISTRATION_OPEN", True)
ADMIN_ENABLED = env.boolean("ADMIN_ENABLED", True)
# The minimum is OWASP's for Argon2id. After an increase, each password is rehashed at its owner's next login.
ARGON2_MEMORY_KIB = env.integer("ARGON2_MEMORY_KIB", 19456, minimum=19456, maximum=1024 * 1024)
ARGON2_PASSES = env.integer("ARGON2_PASSES", 2, minimum=2, maximum=20)
PASSWORD_HASHING_THREADS = env.integer("PASSWORD_HASHING_THREADS", 2, minimum=1, maximum=64)
PASSWORD_HASHING_QUEUE = env.integer("PASSWORD_HASHING_QUEUE", 64)
LOCKOUT_FAILURES, LOCKOUT_WINDOW, LOCKOUT_DURATION = 10, 15 * 60, 15 * 60
AUDIT_RETENTION = env.integer("AUDIT_RETENTION", 90 * 86400, minimum=1)

# --- Rate limits --------------------------------------------------------------------------------------------------

RATE_LIMIT = env.parsed("RATE_LIMIT", "100/minute", parse_rates)
RATE_LIMIT_AUTH = env.parsed("RATE_LIMIT_AUTH", "10/minute", parse_rates)
RATE_LIMIT_ROUTES = env.parsed("RATE_LIMIT_ROUTES", "{}", parse_route_rates)

# --- Idempotency and preconditions --------------------------------------------------------------------------------

IDEMPOTENCY_TTL = env.integer("IDEMPOTENCY_TTL", 86400, minimum=1)
IDEMPOTENCY_WAIT = env.integer("IDEMPOTENCY_WAIT", 10, minimum=1)
REQUIRE_IF_MATCH = env.boolean("REQUIRE_IF_MATCH", False)

# --- Health, metrics, logs, traces --------------------------------------------------------------------------------

METRICS_TOKEN = env.text("METRICS_TOKEN", "")
HEALTH_TIMEOUT_SECONDS = 2.0
# Buckets for the duration of a statement. The defaults of django-prometheus start at 10 ms, above most statements.
PROMETHEUS_LATENCY_BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, float("inf"),
)  # fmt: skip
LOG_LEVEL = env.text("LOG_LEVEL", "INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
LOG_FORMAT = env.text("LOG_FORMAT", "auto", choices=("auto", "json", "text"))
OTEL_EXPORTER_OTLP_ENDPOINT = env.text("OTEL_EXPORTER_OTLP_ENDPOINT", "")

# --- Checks across settings ---------------------------------------------------------------------------------------

MINIMUM_SECRET_BYTES = 32
# Secrets that appear in this repository. tests/test_documentation.py fails if one is missing here.
PUBLISHED_SECRETS = {"change-me-to-a-secret-of-at-least-32-bytes"}

for name, secret in (("JWT_SECRET", JWT_SECRET), ("JWT_SECRET_PREVIOUS", JWT_SECRET_PREVIOUS)):
    if secret in PUBLISHED_SECRETS:
        env.refuse(name, "is the published example: generate your own, for instance with openssl rand -base64 48")
    elif secret and len(secret.encode()) < MINIMUM_SECRET_BYTES:
        env.refuse(name, f"must have at least {MINIMUM_SECRET_BYTES} bytes: use openssl rand -base64 48")
if DB_REPLICAS and "DB_DSN" not in env.errors and "PORT" not in DATABASE:
    env.refuse("DB_REPLICA_DSN", "works with PostgreSQL only, and DB_DSN names a SQLite file: leave it empty")
if IS_PRODUCTION:
    if DEBUG:
        env.refuse("DEBUG", "must be false in production")
    if "*" in ALLOWED_HOSTS:
        env.refuse("ALLOWED_HOSTS", "must list the hosts in production: * allows any host")
env.finish()
redaction.hide([JWT_SECRET, JWT_SECRET_PREVIOUS, METRICS_TOKEN])
redaction.hide(entry.get("PASSWORD", "") for entry in (DATABASE, *DB_REPLICAS))

# --- Django -------------------------------------------------------------------------------------------------------

DATABASES = {"default": DATABASE}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
FORMAT_MODULE_PATH = "core.admin_site.formats"
ROOT_URLCONF = "agent_router.urls"
APPEND_SLASH = False
# A derived key, so that Django's signatures (the admin's sessions and forms) cannot serve as access tokens.
SECRET_KEY = hashlib.sha256(b"django " + JWT_SECRET.encode()).hexdigest()
SECRET_KEY_FALLBACKS = (
    [hashlib.sha256(b"django " + JWT_SECRET_PREVIOUS.encode()).hexdigest()] if JWT_SECRET_PREVIOUS else []
)

INSTALLED_APPS = [
    "core",  # before the admin, so that its templates override the admin's
    "core.admin_site.apps.AgentRouterAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_prometheus",
    "corsheaders",
    "core.auth",
    "core.operations.backup",
    "core.pages",
    "items",
]

# Every step runs on the event loop, in this order on the way in and in reverse on the way out. No step may use a
# thread. docs/architecture.md describes the path of a request.
MIDDLEWARE = [
    "core.middleware.request_id.request_id",  # first: every log line and response carries the id
    "core.middleware.client_address.client_address",  # before any step that uses the client's address
    "core.middleware.server_span.server_span",  # the access log contains its ids; skipped unless tracing is on
    "core.middleware.access_log.access_log",  # logs the status that the client receives
    "core.middleware.security_headers.security_headers",  # on refusals, too
    "core.admin_site.problem_pages.admin_pages",  # turns problems into pages for the admin's users
    "core.server.refusals.answer_overload",  # before any step that costs more than a refusal
    "core.middleware.allowed_hosts.allowed_hosts",  # before any step that answers requests
    "core.middleware.cors.CORSMiddleware",  # answers preflight requests before authentication and limits
    "core.middleware.authentication.authentication",  # before rate limits, which count per principal
    "core.middleware.rate_limit.rate_limit",  # before the work that a refused request would cost
    "core.middleware.negotiation.negotiation",  # after rate limits, so that refusals count
    "core.admin_site.middleware.AdminMiddleware",  # last: sessions and CSRF checks for /admin/ only
]

CORS_URLS_REGEX = rf"^(?!{ADMIN_PREFIX}|{STATIC_PREFIX})"
CORS_ALLOW_HEADERS = [
    "accept", "authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "traceparent",
    "x-request-id",
]  # fmt: skip
CORS_EXPOSE_HEADERS = [
    "ETag", "Idempotent-Replayed", "Link", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID",
]  # fmt: skip

LOCAL_CACHE = {"BACKEND": "django_prometheus.cache.backends.locmem.LocMemCache"}
CACHES: dict[str, Any] = {"default": django_cache(REDIS_URL) if REDIS_URL else LOCAL_CACHE}

LOGGING = logging_configuration(LOG_LEVEL, LOG_FORMAT)

# --- Accounts and the admin ---------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["core.auth.backends.AccountBackend"]  # the admin's login shares the lockout
PASSWORD_HASHERS = ["core.auth.passwords.rules.Argon2Hasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
    {"NAME": "core.auth.passwords.rules.MaximumLengthValidator"},
]
LOGIN_REDIRECT_URL = ADMIN_PREFIX  # used when ?next= of the admin's login names another site
CSRF_FAILURE_VIEW = "core.admin_site.middleware.csrf_failure"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_PRODUCTION
# Browsers accept a cookie with the prefix __Secure- only over HTTPS.
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = (
    f"{'__Secure-' if IS_PRODUCTION else ''}{name}" for name in ("sessionid", "csrftoken")
)
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = ADMIN_PREFIX
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_AGE = 12 * 3600
SECURE_PROXY_SSL_HEADER = None
SILENCED_SYSTEM_CHECKS = [
    # core/middleware/security_headers.py sets the security headers of every response, without a thread.
    "security.W001",
    "security.W002",
    # core/admin_site/middleware.py contains Django's CSRF middleware, which the check does not see there.
    "security.W003",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = STATIC_PREFIX
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    # URLs contain a digest, so that browsers can cache a file until it changes.
    "staticfiles": {"BACKEND": "core.pages.static_files.VersionedStorage"},
}
