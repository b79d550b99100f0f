"""Which media types a client takes: the Accept header of RFC 9110, section 12.5.1.

Parameters of a range other than `q` are ignored: what the service sends has none that matter, and a client
that asks for `application/json;charset=utf-8` or `;indent=2` wants JSON. So no quoted string has to be
understood either: a comma inside of one leaves pieces that are not ranges, and such pieces are passed over.
"""

import re
from functools import lru_cache

__all__ = ["accepts", "prefers", "quality"]

# Clients send a handful of values over and over. Only short ones are kept, so that nobody can fill memory.
CACHED_HEADERS = 256
CACHED_LENGTH = 256

_TCHARS = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
RANGE = re.compile(rf"(?P<type>{_TCHARS})/(?P<subtype>{_TCHARS})", re.ASCII)
WEIGHT = re.compile(r"q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.ASCII | re.IGNORECASE)

type MediaRange = tuple[str, str, float]


def accepts(header: bytes | None, media_type: str) -> bool:
    """Whether a client that sent this Accept header takes the media type.

    `header` is the raw value; no header, an empty one and one without a single well-formed range take
    everything.
    """
    return quality(header, media_type) > 0


def prefers(header: bytes | None, media_type: str, *, over: str) -> bool:
    """Whether the client would rather have the first media type; without a preference it is False."""
    return quality(header, media_type) > quality(header, over)


def quality(header: bytes | None, media_type: str) -> float:
    """How much the client wants the media type: from 0 (not at all) to 1."""
    if not header or header == b"*/*":
        return 1.0
    if len(header) > CACHED_LENGTH:
        return _quality(header, media_type)
    return _cached_quality(header, media_type)


def _quality(header: bytes, media_type: str) -> float:
    ranges = _parse(header.decode("latin-1"))
    if not ranges:
        return 1.0
    main, _, sub = media_type.partition("/")
    # The most specific range that matches decides; of several that are alike, the one that wants it most.
    for pattern in ((main, sub), (main, "*"), ("*", "*")):
        weights = [weight for *offered, weight in ranges if tuple(offered) == pattern]
        if weights:
            return max(weights)
    return 0.0


_cached_quality = lru_cache(maxsize=CACHED_HEADERS)(_quality)


def _parse(header: str) -> list[MediaRange]:
    parsed = (_parse_range(element) for element in header.split(","))
    return [found for found in parsed if found]


def _parse_range(element: str) -> MediaRange | None:
    """One element of the header; None when it is not a media range with, at most, one well-formed weight."""
    name, *parameters = (part.strip(" \t") for part in element.split(";"))
    found = RANGE.fullmatch(name)
    if not found or (found["type"] == "*" and found["subtype"] != "*"):
        return None
    weight = 1.0
    for parameter in parameters:
        if parameter[:2].lower() == "q=":
            told = WEIGHT.fullmatch(parameter)
            if not told:
                return None
            weight = float(told[1])
    return found["type"].lower(), found["subtype"].lower(), weight
