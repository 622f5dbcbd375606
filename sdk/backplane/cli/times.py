"""Moments and spans of time as a person writes and reads them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from .exit import CommandError, ExitCode

__all__ = ["age", "ago", "later", "moment"]

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SPAN = re.compile(r"([0-9]{1,9})([smhdw])")


def later(text: str | None) -> str | None:
    """Return the moment that a span (`30d`) from now, or a date, means. Raises CommandError."""
    return None if text is None else _read(text, 1).isoformat()


def ago(text: str | None) -> datetime | None:
    """Return the moment that a span (`1h`) before now, or a date, means. Raises CommandError."""
    return None if text is None else _read(text, -1)


def _read(text: str, sign: int) -> datetime:
    span = _SPAN.fullmatch(text)
    try:
        if span is not None:
            return datetime.now(UTC) + sign * timedelta(seconds=int(span[1]) * UNITS[span[2]])
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise CommandError(
            f"{text!r} is not a time: write 30m, 12h or 7d, or 2031-02-03T04:05:06Z", ExitCode.USAGE
        ) from None
    return found if found.tzinfo is not None else found.astimezone()


def moment(time: datetime | None) -> str:
    """Return a moment in the time of this place, to the second."""
    return "" if time is None else time.astimezone().isoformat(sep=" ", timespec="seconds")


def age(time: datetime | None, *, now: datetime | None = None) -> str:
    """Return how long ago something was: `42s`, `5m`, `3h`, `2d`."""
    if time is None:
        return ""
    seconds = max(0, int(((now or datetime.now(UTC)) - time).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
