"""The HOST:PORT of a setting."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

__all__ = ["Address", "AddressSetting"]


@dataclass(frozen=True, slots=True)
class Address:
    """A host (a name or an IP address, IPv6 without brackets) and a port; port 0 means any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, default_port: int | None = None) -> Address:
        """Read `HOST:PORT`, `[IPV6]:PORT`, or a bare host when there is a `default_port`. Raises ValueError."""
        host, port = _split(text.strip(), default_port)
        if not host:
            raise ValueError(f"{text!r} has no host: write 0.0.0.0{text} to listen on every address")
        if not 0 <= port <= 65535:
            raise ValueError(f"{text!r} has a port above 65535")
        return cls(host, port)

    @property
    def is_wildcard(self) -> bool:
        """Whether this means every address of the machine, so that nobody can dial it."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return False

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost" or self.host.endswith(".localhost")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _split(text: str, default_port: int | None) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket:
            raise ValueError(f"{text!r} lacks the closing bracket of its IPv6 address")
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(f"{text!r} has no IPv6 address in its brackets") from None
    else:
        host, colon, rest = text.partition(":")
        rest = colon + rest
        if rest.count(":") > 1:
            raise ValueError(f"{text!r} is not HOST:PORT: write an IPv6 address in brackets, [::1]:443")
        if any(character.isspace() or character in "/@?#" for character in host):
            raise ValueError(f"{text!r} is not HOST:PORT")
    if not rest and default_port is not None:
        return host, default_port
    digits = rest[1:]
    if not rest.startswith(":") or not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{text!r} is not HOST:PORT: the port is missing or not a number")
    return host, int(digits[:6])


def _coerce(value: object) -> object:
    if isinstance(value, Address) or value is None:
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not HOST:PORT in quotes")
    return Address.parse(value)


AddressSetting = Annotated[
    Address, BeforeValidator(_coerce), PlainSerializer(str, return_type=str, when_used="json")
]
"""The type of a setting that is written HOST:PORT."""
