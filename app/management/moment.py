"""Moments, as clients write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

__all__ = ["Moment"]


def _check_text(value: object) -> object:
    if isinstance(value, (int, float)) or (isinstance(value, str) and not value[:10].count("-") == 2):
        raise ValueError("it should be a date and a time with a zone, as 2031-02-03T04:05:06Z")
    return value


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("in UTC it is before the year 1 or after the year 9999") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_check_text), AfterValidator(_in_utc)]
"""A date and a time with a zone, in UTC. Seconds since 1970, which pydantic would take too, are none."""
