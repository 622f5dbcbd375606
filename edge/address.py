"""Addresses that are listened on: how they are written, and why one cannot be had."""

from __future__ import annotations

import os

__all__ = ["Address", "CannotListen", "join"]

Address = tuple[str, int]


class CannotListen(Exception):
    """An address cannot be bound. `listener` is its setting's name, `address` is HOST:PORT."""

    def __init__(self, listener: str, address: str, error: OSError) -> None:
        # Of an error of the system, asyncio and uvloop give texts of their own; one of the resolver has only its text.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror or str(error)
        super().__init__(f"cannot listen on --{listener} {address}: {reason}")
        self.listener = listener
        self.address = address


def join(address: Address) -> str:
    """Return HOST:PORT, with brackets around an IPv6 address."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
