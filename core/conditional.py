"""Conditional requests (RFC 9110, section 13). A version is a strong entity tag: `"3"`."""

import re
from dataclasses import dataclass

from django.conf import settings

from core.errors import InvalidHeader, PreconditionFailed, PreconditionRequired
from core.request import Request

# RFC 9110, section 8.8.3: W/ and a quoted run of characters that are neither quotes nor controls.
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t]*(?:{_TAG})?)*[ \t]*")
_ONE_TAG = re.compile(_TAG)


def entity_tag(version: int) -> str:
    """The ETag of a version."""
    return f'"{version}"'


def not_modified(request: Request, tag: str) -> bool:
    """Whether If-None-Match holds the tag, compared weakly; a malformed header is no condition at all."""
    given = request.raw_headers.get(b"if-none-match")
    if given is None:
        return False
    return given == tag.encode() or _holds_weakly(_joined(request, b"if-none-match"), tag)


@dataclass(frozen=True, slots=True)
class Precondition:
    """What a client asks to be true before a change: If-Match and If-None-Match, as they were sent."""

    if_match: str | None = None
    if_none_match: str | None = None

    def check(self, version: int) -> None:
        """Compares with the current version: to be called in the transaction of the change.

        Raises PreconditionFailed, with the current ETag; PreconditionRequired where REQUIRE_IF_MATCH asks for an
        If-Match and there is none.
        """
        tag = entity_tag(version)
        if self.if_match is None:
            if settings.REQUIRE_IF_MATCH:
                raise PreconditionRequired
        elif self.if_match != "*" and tag not in _ONE_TAG.findall(self.if_match):
            raise PreconditionFailed(f"The current version is {version}", headers={"ETag": tag})
        if self.if_none_match is not None and _holds_weakly(self.if_none_match, tag):
            raise PreconditionFailed("If-None-Match holds the current version", headers={"ETag": tag})


def precondition(request: Request) -> Precondition:
    """The precondition of a change. Raises InvalidHeader for an If-Match that is malformed."""
    headers = request.raw_headers
    if_match = _joined(request, b"if-match") if b"if-match" in headers else None
    if if_match is not None and if_match != "*" and not _TAGS.fullmatch(if_match):
        raise InvalidHeader('If-Match must be * or entity tags, such as "3"')
    return Precondition(if_match, _joined(request, b"if-none-match") if b"if-none-match" in headers else None)


def _holds_weakly(text: str, tag: str) -> bool:
    return text == "*" or tag in {found.removeprefix("W/") for found in _ONE_TAG.findall(text)}


def _joined(request: Request, name: bytes) -> str:
    """A header's value, its lines joined: lists may be spread over several."""
    return ",".join(value.decode("latin-1") for key, value in request.scope["headers"] if key == name).strip(" \t")
