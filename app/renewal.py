"""The edge's own certificate, kept good while the edge runs.

It is looked at once an hour, by the clock of the wall, which may be set or stand still while the machine sleeps. New
TLS handshakes show the new certificate; tunnels that stand go on. When renewing fails, the old one serves on, and the
next look tries again: it has 30 days to succeed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from .identity import DataDirectory, Identity, IdentityError

__all__ = ["keep_certificate"]

log: Any = structlog.get_logger("edge")

INTERVAL = 3600.0
"""Seconds between two looks."""


def _now() -> datetime:
    return datetime.now(UTC)


async def keep_certificate(
    identity: Identity,
    data: DataDirectory,
    identity_path: Path | None,
    *,
    on_renewed: Callable[[], None],
    now: Callable[[], datetime] = _now,
) -> None:
    """Renew the certificate whenever it is time, and call `on_renewed` each time, until cancelled."""
    while True:
        await asyncio.sleep(INTERVAL)
        try:
            expires = await asyncio.to_thread(identity.renew, data, identity_path, now=now())
        except IdentityError as error:
            log.error("the edge's certificate cannot be renewed", reason=str(error))
            continue
        if expires is not None:
            log.info("the edge's certificate is renewed", expires=expires.isoformat())
            on_renewed()
