"""Moments, as clients write them."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

__all__ = ["Moment"]


def _check_text(value: object) -> object:
    if isinstance(value, (int, float)) or (isinstance(value, str) and not value[:10].count("-") == 2):
        raise ValueError("it should be a date and a time with a zone, as 2031-02-03T04:05:06Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_check_text)]
"""A date and a time with a zone. Seconds since 1970, which pydantic would take too, are none."""
