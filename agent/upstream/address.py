"""Where an upstream listens."""

from __future__ import annotations

from urllib.parse import urlsplit

__all__ = ["Upstream"]


class Upstream:
    """A local address that requests are forwarded to, from a URL such as `http://127.0.0.1:3000`.

    Raises ValueError for a URL that is not plain http, or that has more than a host and a port.
    """

    __slots__ = ("authority", "host", "port", "url")

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"an upstream is http://HOST[:PORT], not {url!r}")
        if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError(f"an upstream has no path, query or user: {url!r}")
        self.url = url
        self.host = parts.hostname
        self.port = parts.port or 80
        self.authority = parts.netloc.encode("ascii")

    def __repr__(self) -> str:
        return f"Upstream({self.url!r})"
