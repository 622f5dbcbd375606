"""The agent's way to the application: connections to local addresses, pooled and balanced.

`Service` groups upstreams and picks one for each request; its `Pool` lends a `Channel`, an HTTP/1.1 connection, to an
`Exchange` (`agent.forward`). What is said on it is `request` and `response`, which do no I/O. The pool of an upstream
that speaks HTTP/2 has a `Trunk` instead, which lends a `Line` to open a stream on (`agent.relay`).
"""

from ..address import Kind, Upstream
from .channel import Channel, Exchange
from .dialing import upstream_context
from .errors import MalformedRequest, UpstreamError
from .pool import Pool
from .service import Service
from .settings import UpstreamTimes
from .trunk import Line, Trunk

__all__ = [
    "Channel",
    "Exchange",
    "Kind",
    "Line",
    "MalformedRequest",
    "Pool",
    "Service",
    "Trunk",
    "Upstream",
    "UpstreamError",
    "UpstreamTimes",
    "upstream_context",
]
