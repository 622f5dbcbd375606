"""The rule `ip`: which client addresses may come in, and whose word on the client's address is taken."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field

from h2s.engine.session import Fields

from ..message import Request
from ..problem import Refusal
from ..route import Spec
from .chain import Steps

__all__ = ["IpRule", "Networks"]

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

MAPPED_PREFIX = 96
"""Bits before an IPv4 address that is mapped into IPv6 (::ffff:192.0.2.1)."""
MAX_FORWARDED = 32
"""Proxies in a row whose word is taken: more are no chain that anyone has built."""


def _check_network(text: str) -> str:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text!r} is not an address or a network: write 192.0.2.0/24, 192.0.2.1 or 2001:db8::/32"
        ) from None
    if "/" in text and ip_network(text, strict=False).network_address != ip_address(text.partition("/")[0]):
        raise ValueError(f"{text!r} has bits set behind its prefix: write {network}")
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if (
        mapped is not None and network.prefixlen >= MAPPED_PREFIX
    ):  # clients' addresses are looked up as IPv4, too
        network = IPv4Network((mapped, network.prefixlen - MAPPED_PREFIX))
    return str(network)


Cidrs = Annotated[tuple[Annotated[str, AfterValidator(_check_network)], ...], Field(max_length=10_000)]


class IpRule(Spec):
    """Lets clients in by their address. An address in `deny` is refused even if it is in `allow`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"type": "ip", "allow": ["192.0.2.0/24", "2001:db8::/32"], "trusted_proxies": ["10.0.0.0/8"]}
            ]
        }
    )

    type: Literal["ip"] = Field(description="`ip`")
    allow: Cidrs = Field(
        default=(),
        description="Only these addresses and networks; empty for all.",
        examples=[["192.0.2.0/24"]],
    )
    deny: Cidrs = Field(default=(), description="None of these.", examples=[["198.51.100.7"]])
    trusted_proxies: Cidrs = Field(
        default=(),
        description="Peers whose X-Forwarded-For and X-Forwarded-Proto are believed. The client is then the last "
        "address in X-Forwarded-For that is not one of these.",
        examples=[["10.0.0.0/8"]],
    )

    def compile(self) -> Steps:
        """Return what a request goes through."""
        allow, deny = Networks(self.allow), Networks(self.deny)
        trusted = Networks(self.trusted_proxies)

        def believe(request: Request) -> None:
            if parse_address(request.peer) in trusted:
                request.peer = _client(request.peer, request.fields, trusted)
                request.scheme = _scheme(request.scheme, request.fields)

        def check(request: Request) -> None:
            address = parse_address(request.peer)
            if address is None or address in deny or (allow and address not in allow):
                raise Refusal(403, "address_denied", "This address may not use this site.")

        return Steps(client=believe if trusted else None, gate=check if allow or deny else None)


class Networks:
    """A set of networks; asking costs one look for each length of prefix, however many there are."""

    __slots__ = ("_lengths",)

    def __init__(self, networks: Iterable[str]) -> None:
        found: dict[tuple[int, int], set[int]] = {}
        for network in map(ip_network, networks):
            shift = network.max_prefixlen - network.prefixlen
            prefixes = found.setdefault((network.version, shift), set())
            prefixes.add(int(network.network_address) >> shift)
        self._lengths = {
            version: tuple((shift, found[known, shift]) for known, shift in sorted(found) if known == version)
            for version in (4, 6)
        }

    def __bool__(self) -> bool:
        return any(self._lengths.values())

    def __contains__(self, address: Address | None) -> bool:
        if address is None:
            return False
        number = int(address)
        return any(number >> shift in prefixes for shift, prefixes in self._lengths[address.version])


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address | None:
    """Return the address, an IPv4 one that is mapped into IPv6 as IPv4; None for what is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _client(peer: str, fields: Fields, trusted: Networks) -> str:
    """Go through X-Forwarded-For from the right, as far as each says it who is trusted."""
    values = b",".join(value for name, value in fields if name == b"x-forwarded-for")
    client = peer
    for member in reversed(values.decode("latin-1").split(",")[-MAX_FORWARDED:]):
        address = parse_address(_without_port(member.strip(" \t")))
        if address is None:
            break
        client = str(address)
        if address not in trusted:
            break
    return client


def _without_port(node: str) -> str:
    if node.startswith("["):
        return node[1:].partition("]")[0]
    return node.partition(":")[0] if node.count(":") == 1 else node


def _scheme(scheme: bytes, fields: Fields) -> bytes:
    for name, value in fields:
        if name == b"x-forwarded-proto" and value.lower() in (b"http", b"https"):
            return value.lower()
    return scheme
