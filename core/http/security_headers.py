"""Security headers. A page sets its own `Content-Security-Policy`; other responses get POLICY, which allows nothing."""

type Headers = list[tuple[bytes, bytes]]

POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
TRANSPORT_SECURITY = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
COMMON: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"x-xss-protection", b"0"),
    (b"permissions-policy", b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
NO_REFERRER = (b"referrer-policy", b"no-referrer")
# Over HTTPS Django's CSRF protection checks the Referer of the admin's forms.
SAME_ORIGIN_REFERRER = (b"referrer-policy", b"same-origin")

_NO_EMBEDDING = "base-uri 'none'; frame-ancestors 'none'"
_SCRIPTS = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'"

PAGE_POLICY = f"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; {_NO_EMBEDDING}"
# Swagger UI has icons as data: URLs in its style sheet and calls the API from the page.
DOCS_POLICY = f"{_SCRIPTS}; form-action 'none'; {_NO_EMBEDDING}"
# The admin posts its forms, and its autocomplete fields fetch data.
ADMIN_POLICY = f"{_SCRIPTS}; form-action 'self'; {_NO_EMBEDDING}"
