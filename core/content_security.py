"""Content security policies of what a browser shows. Nothing inline, nothing from elsewhere, no framing.

A view sets its own `Content-Security-Policy`; everything else gets the API's, which allows nothing.
"""

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
