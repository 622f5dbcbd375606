"""How a connection to an upstream is made, whatever its kind."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..address import Kind, Upstream
from .errors import UpstreamConnectTimeout, UpstreamError, UpstreamRefused, UpstreamUntrusted

__all__ = ["connect", "upstream_context"]


def upstream_context(ca: Path | None = None) -> ssl.SSLContext:
    """Return how https upstreams are checked: against the certificates in a PEM file, else those the system trusts.

    Raises OSError when the file cannot be read or holds none (an ssl.SSLError is one).
    """
    context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


async def connect(
    upstream: Upstream, make_protocol: Callable[[], Any], *, timeout: float, tls: ssl.SSLContext | None
) -> UpstreamError | None:
    """Connect a protocol to an upstream, within `timeout` seconds. Returns why it could not be, or None.

    `tls` is for https upstreams, for which it has to be there.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            if upstream.kind is Kind.UNIX:
                await loop.create_unix_connection(make_protocol, upstream.path)
            elif upstream.kind is Kind.HTTPS:
                assert tls is not None
                await loop.create_connection(
                    make_protocol, upstream.host, upstream.port, ssl=tls, server_hostname=upstream.host
                )
            else:
                await loop.create_connection(make_protocol, upstream.host, upstream.port)
    except TimeoutError:
        return UpstreamConnectTimeout(f"no connection to {upstream} in time")
    except ssl.SSLCertVerificationError as error:
        return UpstreamUntrusted(f"the certificate of {upstream} is not trusted: {error.verify_message}")
    except ssl.SSLError as error:
        return UpstreamUntrusted(f"no TLS with {upstream}: {error.reason or error}")
    except (OSError, UnicodeError) as error:  # a name that cannot be looked up may be no name at all
        return UpstreamRefused(f"no connection to {upstream}: {error}")
    return None
