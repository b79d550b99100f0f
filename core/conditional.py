"""Conditional requests (RFC 9110, section 13). A version is a strong entity tag: `"3"`."""

import re
from collections.abc import Mapping

from django.conf import settings

from core.errors import InvalidHeader, PreconditionFailed, PreconditionRequired
from core.request import Request

# RFC 9110, section 8.8.3: W/ and a quoted run of characters that are neither quotes nor controls.
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t]*(?:{_TAG})?)*[ \t]*")
_ONE_TAG = re.compile(_TAG)


def entity_tag(version: int | str) -> str:
    """The ETag of a version."""
    return f'"{version}"'


def not_modified(request: Request, tag: str) -> bool:
    """Whether If-None-Match holds the tag, compared weakly; a malformed header is no condition at all."""
    given = request.raw_headers.get(b"if-none-match")
    if given is None:
        return False
    if given == tag.encode():
        return True
    text = _joined(request, b"if-none-match")
    return text == "*" or tag in {found.removeprefix("W/") for found in _ONE_TAG.findall(text)}


def if_match(request: Request) -> str | None:
    """If-Match as it was sent, checked for its form.

    Raises InvalidHeader; PreconditionRequired where REQUIRE_IF_MATCH asks for one and none was sent.
    """
    if b"if-match" not in request.raw_headers:
        if settings.REQUIRE_IF_MATCH:
            raise PreconditionRequired
        return None
    text = _joined(request, b"if-match")
    if text != "*" and not _TAGS.fullmatch(text):
        raise InvalidHeader('If-Match must be * or entity tags, such as "3"')
    return text


def check_if_match(condition: str | None, version: int) -> None:
    """Raises PreconditionFailed, with the current ETag, unless the condition holds strongly for the version."""
    if condition is None or condition == "*":
        return
    tag = entity_tag(version)
    if tag not in _ONE_TAG.findall(condition):
        headers: Mapping[str, str] = {"ETag": tag}
        raise PreconditionFailed(f"The current version is {version}", headers=headers)


def _joined(request: Request, name: bytes) -> str:
    """A header's value, its lines joined: lists may be spread over several."""
    return ",".join(value.decode("latin-1") for key, value in request.scope["headers"] if key == name).strip()
