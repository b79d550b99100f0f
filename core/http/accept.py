"""The Accept header (RFC 9110, section 12.5.1). Parameters other than `q` and malformed ranges are ignored."""

import re
from functools import lru_cache

_TCHARS = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
RANGE = re.compile(rf"(?P<type>{_TCHARS})/(?P<subtype>{_TCHARS})", re.ASCII)
WEIGHT = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.ASCII | re.IGNORECASE)


def accepts(header: bytes | None, media_type: str) -> bool:
    """Whether the header accepts the media type. A header without a well-formed range accepts everything."""
    return quality(header, media_type) > 0


def prefers(header: bytes | None, media_type: str, *, over: str) -> bool:
    return quality(header, media_type) > quality(header, over)


@lru_cache(maxsize=64)
def quality(header: bytes | None, media_type: str) -> float:
    """Return the client's weight for the media type, from 0 (not acceptable) to 1."""
    elements = header.decode("latin-1").split(",") if header else []
    ranges = [found for element in elements if (found := _parse_range(element))]
    if not ranges:
        return 1.0
    main, _, sub = media_type.partition("/")
    # The most specific matching range decides; among equal ranges, the highest weight.
    for pattern in ((main, sub), (main, "*"), ("*", "*")):
        weights = [weight for *offered, weight in ranges if tuple(offered) == pattern]
        if weights:
            return max(weights)
    return 0.0


def _parse_range(element: str) -> tuple[str, str, float] | None:
    name, *parameters = (part.strip(" \t") for part in element.split(";"))
    found = RANGE.fullmatch(name)
    if not found or (found["type"] == "*" and found["subtype"] != "*"):
        return None
    weight = 1.0
    for parameter in parameters:
        if parameter[:2].lower() == "q=":
            parsed = WEIGHT.fullmatch(parameter)
            if not parsed:
                return None
            weight = float(parsed[1])
    return found["type"].lower(), found["subtype"].lower(), weight
