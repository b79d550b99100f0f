"""Conditional requests (RFC 9110, section 13). The ETag of version 3 is the strong entity tag `"3"`."""

import re
from dataclasses import dataclass

from django.conf import settings

from core.http.problems import InvalidHeader, PreconditionFailed, PreconditionRequired
from core.http.request import Request

# RFC 9110, section 8.8.3.
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
# Each blank can match in only one way, so a long malformed header cannot cause exponential backtracking.
_TAGS = re.compile(rf"[ \t]*(?:{_TAG}[ \t]*)?(?:,[ \t]*(?:{_TAG}[ \t]*)?)*")
_ONE_TAG = re.compile(_TAG)


def entity_tag(version: int) -> str:
    return f'"{version}"'


def not_modified(request: Request, tag: str) -> bool:
    """Whether If-None-Match contains the tag, by weak comparison. A malformed header matches nothing."""
    given = _text(request, b"if-none-match")
    return given is not None and (given == tag or _contains_weakly(given, tag))


@dataclass(frozen=True)
class Precondition:
    """The values of If-Match and If-None-Match."""

    if_match: str | None = None
    if_none_match: str | None = None

    def check(self, version: int) -> None:
        """Raise PreconditionFailed or PreconditionRequired. Must be called in the transaction of the change."""
        tag = entity_tag(version)
        if self.if_match is None:
            if settings.REQUIRE_IF_MATCH:
                raise PreconditionRequired
        elif self.if_match != "*" and tag not in _ONE_TAG.findall(self.if_match):
            raise PreconditionFailed(f"The current version is {version}", headers={"ETag": tag})
        if self.if_none_match is not None and _contains_weakly(self.if_none_match, tag):
            raise PreconditionFailed("If-None-Match contains the current version", headers={"ETag": tag})


def precondition(request: Request) -> Precondition:
    """Return the precondition of a change. Raises InvalidHeader for a malformed If-Match."""
    if_match = _text(request, b"if-match")
    if if_match is not None and if_match != "*" and not (_TAGS.fullmatch(if_match) and _ONE_TAG.search(if_match)):
        raise InvalidHeader('If-Match must be * or entity tags, such as "3"')
    return Precondition(if_match, _text(request, b"if-none-match"))


def _contains_weakly(text: str, tag: str) -> bool:
    return text == "*" or tag in {found.removeprefix("W/") for found in _ONE_TAG.findall(text)}


def _text(request: Request, name: bytes) -> str | None:
    value = request.list_header(name)
    return None if value is None else value.decode("latin-1").strip(" \t")
