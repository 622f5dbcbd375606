"""TLS of the management API: its own certificate, or one of the embedded CA, kept good while the edge runs.

The files are looked at once a minute: what an operator, or a program that renews certificates, has put there is shown
to connections that come from then on. A pair that does not fit, as between the two writes, leaves the one before.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import structlog

from .config import EdgeSettings
from .identity import DataDirectory, Identity, IdentityError

__all__ = ["ApiTls", "api_names"]

log: Any = structlog.get_logger("edge")

INTERVAL = 60.0
"""Seconds between two looks."""


def api_names(settings: EdgeSettings) -> list[str]:
    """Return the names and addresses that the API is reached by, each once."""
    names: list[str] = []
    if settings.api.is_wildcard:
        host = socket.gethostname().lower()
        names += [host, *_addresses_of(host), "localhost", "127.0.0.1", "::1"]
    else:
        names.append(settings.api.host.lower())
    return list(dict.fromkeys((*settings.api_name, *names)))


def _addresses_of(host: str) -> list[str]:
    """Return the addresses that this machine's own name stands for, if it is known here."""
    try:
        found = {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return []
    return sorted(str(ip_address(address)) for address in found if "%" not in address)


class ApiTls:
    """The API's certificate and the context that shows it."""

    def __init__(
        self,
        settings: EdgeSettings,
        identity: Identity,
        data: DataDirectory,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Load it, made first if it is to be one of the embedded CA. Raises IdentityError."""
        self._settings = settings
        self._identity = identity
        self._data = data
        self._now = now
        self._names = api_names(settings)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self._certificate, self._key = self._files()
        try:
            self._stamp = self._state()
            self.context.load_cert_chain(self._certificate, self._key)
        except OSError as error:
            raise IdentityError(f"the API's certificate {self._certificate}: {error}") from None

    @property
    def authority(self) -> Path | None:
        """The file with the CA that clients have to trust; None: it is for the operator to know."""
        return None if self._settings.api_cert is not None else self._identity.ca_certificate

    async def keep(self) -> None:
        """Show what is in the files, renewed in time, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await asyncio.to_thread(self._look)
            except (OSError, IdentityError) as error:
                log.error("the API's certificate cannot be renewed: the one before stays", reason=str(error))

    def _look(self) -> None:
        self._files()
        stamp = self._state()
        if stamp == self._stamp:
            return
        # A pair that does not fit would leave the context without either: it is tried on another one first.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(self._certificate, self._key, password=str)
        self.context.load_cert_chain(self._certificate, self._key)
        self._stamp = stamp
        log.info("the API's certificate is a new one", path=str(self._certificate))

    def _files(self) -> tuple[Path, Path]:
        settings = self._settings
        if settings.api_cert is not None and settings.api_key is not None:
            return settings.api_cert, settings.api_key
        certificate, key, _ = self._identity.api_certificate(
            self._data, settings.identity_dir, self._names, now=self._now()
        )
        return certificate, key

    def _state(self) -> tuple[tuple[int, int, int], ...]:
        states = (path.stat() for path in (self._certificate, self._key))
        return tuple((state.st_mtime_ns, state.st_size, state.st_ino) for state in states)
