"""Numbers and times in HTTP headers, which are as long as a server likes: RFC 9110."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_DIGITS = 18  # what surely fits 64 bits


def parse_number(text: str) -> int | None:
    """Read decimal digits; None for anything else, and for more than any file could have."""
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        return int(text)
    return None


def range_start(headers: Mapping[str, str]) -> int | None:
    """Read where a partial answer starts: Content-Range, section 14.4; None when it is not told."""
    unit, _, span = headers.get("content-range", "").partition(" ")
    return parse_number(span.partition("-")[0]) if unit == "bytes" else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read Retry-After, in seconds or as a date, section 10.2.3; None without one."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:_MOST_DIGITS])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, ArithmeticError, LookupError, TypeError, OSError):  # no date, or no time_t
        return None
