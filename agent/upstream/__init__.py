"""The agent's way to the application: HTTP/1.1 connections to local addresses, pooled and balanced.

`Service` groups upstreams and picks one for each request; its `Pool` lends a `Channel`, an HTTP/1.1 connection, to an
`Exchange` (`agent.forward`). What is said on it is `request` and `response`, which do no I/O.
"""

from ..address import Kind, Upstream
from .channel import Channel, Exchange
from .dialing import upstream_context
from .errors import MalformedRequest, UpstreamError
from .pool import Pool
from .service import Service
from .settings import UpstreamTimes

__all__ = [
    "Channel",
    "Exchange",
    "Kind",
    "MalformedRequest",
    "Pool",
    "Service",
    "Upstream",
    "UpstreamError",
    "UpstreamTimes",
    "upstream_context",
]
