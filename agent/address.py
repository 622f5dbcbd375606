"""Where an upstream listens, and what is spoken there:

http://HOST[:PORT]     HTTP/1.1
https://HOST[:PORT]    HTTP/1.1 over TLS; the certificate has to be valid for HOST
h2c://HOST[:PORT]      HTTP/2 without TLS, with prior knowledge (RFC 9113 §3.3): what gRPC servers speak
unix:/PATH             HTTP/1.1 on a Unix socket
"""

from __future__ import annotations

from enum import Enum
from urllib.parse import urlsplit

from backplane.cli.address import Address

__all__ = ["Kind", "Upstream"]


class Kind(Enum):
    """What is spoken to an upstream; the value is the scheme."""

    HTTP = "http"
    HTTPS = "https"
    H2C = "h2c"
    UNIX = "unix"


MAX_SOCKET_PATH = 107
"""Bytes that a Unix socket's path may have on Linux."""
_PORTS = {"http": 80, "https": 443, "h2c": 80}


class Upstream:
    """A local address that requests are forwarded to, from its URL. Raises ValueError for one that cannot be."""

    __slots__ = ("authority", "host", "kind", "path", "port", "url")

    def __init__(self, url: str) -> None:
        self.host = ""
        self.port = 0
        self.path = ""
        """Of a Unix socket; empty for everything else."""
        if url.startswith("unix:"):
            self.kind = Kind.UNIX
            self.path = _socket_path(url)
            self.authority = b"localhost"
            self.url = f"unix:{self.path}"
            return
        scheme, address = _http_address(url)
        self.kind = Kind(scheme)
        self.host, self.port = address.host, address.port
        written = str(address) if address.port != _PORTS[scheme] else str(address).rpartition(":")[0]
        self.authority = written.encode("ascii")
        self.url = f"{scheme}://{address}"

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        return f"Upstream({self.url!r})"


def _http_address(url: str) -> tuple[str, Address]:
    parts = urlsplit(url)
    scheme = parts.scheme
    if scheme not in _PORTS:
        if parts.netloc:
            kinds = ", ".join(kind.value for kind in Kind)
            raise ValueError(f"upstream {url!r}: the scheme {scheme!r} is not one of {kinds}")
        raise ValueError(f"upstream {url!r} is not a URL: write http://{url}")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"upstream {url!r} has a path: an upstream is {scheme}://HOST:PORT and no more")
    if "@" in parts.netloc:
        raise ValueError("an upstream cannot carry a user or a password")
    address = Address.parse(parts.netloc, default_port=_PORTS[scheme])
    if address.port == 0:
        raise ValueError(f"upstream {url!r} needs a port other than 0")
    if not address.host.isascii():
        raise ValueError(f"upstream {url!r}: the host is not ASCII: write an international name as xn--...")
    return scheme, address


def _socket_path(url: str) -> str:
    """Return the path of `unix:/PATH` or `unix:///PATH`."""
    path = url.removeprefix("unix:")
    if path.startswith("//"):
        path = path[2:]
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError(f"upstream {url!r}: a Unix socket is written unix:/PATH, with the whole path")
    if len(path.encode()) > MAX_SOCKET_PATH:
        raise ValueError(f"upstream {url!r}: a Unix socket's path has {MAX_SOCKET_PATH} bytes at the most")
    if "\0" in path:
        raise ValueError("a Unix socket's path has no NUL")
    return path
