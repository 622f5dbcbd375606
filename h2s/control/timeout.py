"""How long a call may take, as `grpc-timeout` says it: up to eight digits and a unit."""

from __future__ import annotations

import math
import re

from .status import Code, ControlError

__all__ = ["TIMEOUT_FIELD", "format_timeout", "parse_timeout"]

TIMEOUT_FIELD = b"grpc-timeout"
UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
MOST = 99_999_999
"""The highest number of a unit."""
TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")


def format_timeout(seconds: float) -> bytes:
    """Return the value of `grpc-timeout` for this time, in milliseconds if they fit, and at least one."""
    for unit in (b"m", b"S", b"M"):
        amount = max(1, math.ceil(seconds / UNITS[unit]))
        if amount <= MOST:
            break
    return str(min(amount, MOST)).encode() + unit


def parse_timeout(value: bytes) -> float:
    """Return the seconds that a `grpc-timeout` gives. Raises ControlError for one that cannot be read."""
    match = TIMEOUT.fullmatch(value)
    if match is None:
        raise ControlError(Code.INVALID_ARGUMENT, "grpc-timeout cannot be read")
    return int(match[1]) * UNITS[match[2]]
