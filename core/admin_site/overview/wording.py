"""Text for numbers on the front page."""

from core.ratelimit.rates import UNITS, Rate

NONE = "–"
_PERIODS = {seconds: unit for unit, seconds in UNITS.items()}


def share_text(share: float | None) -> str:
    if share is None:
        return NONE
    return "< 0.1 %" if 0 < share < 0.001 else f"{share * 100:.1f} %"


def ms_text(milliseconds: float | None) -> str:
    if milliseconds is None:
        return NONE
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:,.0f} ms"


def rate_text(rate: Rate) -> str:
    period = _PERIODS.get(rate.window_seconds)
    if period is None:
        return f"{rate.quota:,} in {rate.window_seconds:,} s"
    return f"{rate.quota:,} {'an' if period == 'hour' else 'a'} {period}"


def size_text(size_bytes: int | None) -> str:
    if size_bytes is None:
        return NONE
    size, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if size >= 100 or unit == "B" else f"{size:.1f} {unit}"
