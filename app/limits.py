"""What strangers may take of an edge, and how it shares requests out, as settings: each limit of its two ports under
its name and that of the port, and what there is to say of balancing under `balance_`.

Some of them are flags as well; all are keys of the file and variables (`BACKPLANE_PUBLIC_HEAD_TIMEOUT`).
"""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

from pydantic import Field

from backplane.cli.settings import Settings
from edge.balancing import Balancing
from edge.ingress import IngressLimits
from edge.lobby import LobbyLimits

__all__ = [
    "BALANCE_PREFIX",
    "LIMIT_PREFIX",
    "TUNNEL_PREFIX",
    "BalanceSettings",
    "PublicLimits",
    "TunnelLimits",
]

LIMIT_PREFIX = "public_"
TUNNEL_PREFIX = "tunnel_"
BALANCE_PREFIX = "balance_"

Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Rate = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]
Bytes = Annotated[int, Field(ge=1, le=64 * 1024 * 1024)]
HeadBytes = Annotated[int, Field(ge=256, le=64 * 1024)]
"""Above this an agent may refuse the head, with what the edge adds to it (docs/protocol.md, §5)."""
HeadFields = Annotated[int, Field(ge=8, le=512)]

_DEFAULTS = IngressLimits()
_LOBBY_DEFAULTS = LobbyLimits()
_BALANCE_DEFAULTS = Balancing()

Pause = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]


class PublicLimits(Settings):
    """Bounds on public connections; `IngressLimits` says what each means. Sizes are in bytes, times in seconds."""

    public_max_connections: Count = _DEFAULTS.max_connections
    public_max_connections_per_address: Count = _DEFAULTS.max_connections_per_address
    public_request_line: HeadBytes = _DEFAULTS.request_line
    public_header_bytes: HeadBytes = _DEFAULTS.header_bytes
    public_header_fields: HeadFields = _DEFAULTS.header_fields
    public_max_pipeline: Bytes = _DEFAULTS.max_pipeline
    public_discard: Bytes = _DEFAULTS.discard
    public_head_timeout: Seconds = _DEFAULTS.head_timeout
    public_idle_timeout: Seconds = _DEFAULTS.idle_timeout
    public_body_timeout: Seconds = _DEFAULTS.body_timeout
    public_body_rate: Annotated[int, Field(ge=0, le=1_000_000)] = _DEFAULTS.body_rate
    public_tunnel_timeout: Seconds = _DEFAULTS.tunnel_timeout
    public_linger_timeout: Seconds = _DEFAULTS.linger_timeout
    public_handshake_timeout: Seconds = _DEFAULTS.handshake_timeout
    public_concurrent_streams: Count = _DEFAULTS.concurrent_streams
    public_resets_per_second: Rate = _DEFAULTS.resets_per_second
    public_reset_burst: Count = _DEFAULTS.reset_burst
    public_overhead_per_second: Rate = _DEFAULTS.overhead_per_second
    public_overhead_burst: Count = _DEFAULTS.overhead_burst
    public_stall_timeout: Seconds = _DEFAULTS.stall_timeout
    public_stall_bytes: Bytes = _DEFAULTS.stall_bytes

    @property
    def ingress_limits(self) -> IngressLimits:
        """The limits as the data plane takes them."""
        return IngressLimits(
            **{one.name: getattr(self, LIMIT_PREFIX + one.name) for one in fields(IngressLimits)}
        )


class TunnelLimits(Settings):
    """Bounds on connections to the tunnel port; `LobbyLimits` says what each means."""

    tunnel_max_unregistered: Count = _LOBBY_DEFAULTS.max_unregistered
    tunnel_max_unregistered_per_address: Count = _LOBBY_DEFAULTS.max_unregistered_per_address

    @property
    def lobby_limits(self) -> LobbyLimits:
        """The limits as the data plane takes them."""
        return LobbyLimits(
            **{one.name: getattr(self, TUNNEL_PREFIX + one.name) for one in fields(LobbyLimits)}
        )


class BalanceSettings(Settings):
    """How requests are shared out; `Balancing` says what each means. Times are in seconds."""

    balance_slow_start: Pause = _BALANCE_DEFAULTS.slow_start
    balance_eject_after: Annotated[int, Field(ge=0, le=1_000_000)] = _BALANCE_DEFAULTS.eject_after
    balance_eject_time: Seconds = _BALANCE_DEFAULTS.eject_time
    balance_panic_threshold: Annotated[int, Field(ge=0, le=100)] = _BALANCE_DEFAULTS.panic_threshold
    balance_queue_size: Annotated[int, Field(ge=0, le=1_000_000)] = _BALANCE_DEFAULTS.queue_size
    balance_queue_timeout: Seconds = _BALANCE_DEFAULTS.queue_timeout
    balance_reconnect_grace: Pause = _BALANCE_DEFAULTS.reconnect_grace

    @property
    def balancing(self) -> Balancing:
        """The settings as the data plane takes them."""
        return Balancing(**{one.name: getattr(self, BALANCE_PREFIX + one.name) for one in fields(Balancing)})
