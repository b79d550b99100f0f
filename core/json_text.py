"""Comparing JSON texts."""

import orjson


def same_json(one: str, other: str) -> bool:
    """Whether two compact texts say the same, whatever the order of keys. 1, 1.0 and true are three things."""
    return one == other or _sorted(one) == _sorted(other)


def _sorted(text: str) -> bytes:
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)
