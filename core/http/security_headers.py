"""Security headers, and content security policies of what a browser shows.

A view sets its own `Content-Security-Policy`; everything else gets the API's, which allows nothing.
"""

type Headers = list[tuple[bytes, bytes]]

# JSON needs nothing of a browser. What is to be shown brings a policy of its own (core/http/security_headers.py).
POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
TRANSPORT_SECURITY = (b"strict-transport-security", b"max-age=63072000; includeSubDomains")
COMMON: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"x-xss-protection", b"0"),
    (
        b"permissions-policy",
        b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
NO_REFERRER = (b"referrer-policy", b"no-referrer")
# Over HTTPS Django's CSRF protection looks at the Referer of the admin's forms.
REFERRER_TO_ITSELF = (b"referrer-policy", b"same-origin")

_NOWHERE = "base-uri 'none'; frame-ancestors 'none'"

PAGE_POLICY = f"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; {_NOWHERE}"
# Swagger UI's icons are data: URLs in its style sheet, and it calls the API from the page.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    f"form-action 'none'; {_NOWHERE}"
)
# The admin's forms post to it, and its look-ahead fields fetch from it.
ADMIN_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    f"form-action 'self'; {_NOWHERE}"
)
