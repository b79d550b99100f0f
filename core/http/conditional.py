"""Conditional requests (RFC 9110, section 13). A version is a strong entity tag: `"3"`."""

import re
from typing import NamedTuple

from django.conf import settings

from core.http.problems import InvalidHeader, PreconditionFailed, PreconditionRequired
from core.http.request import Request

# RFC 9110, section 8.8.3: W/ and a quoted run of characters that are neither quotes nor controls.
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
# A list of them, in which elements may be empty. There is one way only to read a text: with two for each blank, a
# header that is wrong at its end would take as long as the universe.
_TAGS = re.compile(rf"[ \t]*(?:{_TAG}[ \t]*)?(?:,[ \t]*(?:{_TAG}[ \t]*)?)*")
_ONE_TAG = re.compile(_TAG)


def entity_tag(version: int) -> str:
    """The ETag of a version."""
    return f'"{version}"'


def not_modified(request: Request, tag: str) -> bool:
    """Whether If-None-Match holds the tag, compared weakly; a malformed header is no condition at all."""
    given = _text(request, b"if-none-match")
    return given is not None and (given == tag or _holds_weakly(given, tag))


class Precondition(NamedTuple):
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
    if_match = _text(request, b"if-match")
    if if_match is not None and if_match != "*" and not (_TAGS.fullmatch(if_match) and _ONE_TAG.search(if_match)):
        raise InvalidHeader('If-Match must be * or entity tags, such as "3"')
    return Precondition(if_match, _text(request, b"if-none-match"))


def _holds_weakly(text: str, tag: str) -> bool:
    return text == "*" or tag in {found.removeprefix("W/") for found in _ONE_TAG.findall(text)}


def _text(request: Request, name: bytes) -> str | None:
    value = request.list_header(name)
    return None if value is None else value.decode("latin-1").strip(" \t")
