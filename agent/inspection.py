"""What an agent says of itself when an operator looks: the answer to Inspect."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from h2s.engine import engine_name
from h2s.messages import Failure, Hello, Inspection, ServiceState, TunnelState, UpstreamState

from .link import Link
from .tunnel import AgentTunnel
from .upstream import Service

__all__ = ["inspect"]

MAX_TEXT = 256
MAX_UPSTREAMS = 256
"""Of a service; an agent may have more."""


def inspect(
    hello: Hello,
    *,
    began_at: float,
    services: Sequence[Service],
    links: Sequence[Link],
    failures: Sequence[Failure],
) -> Inspection:
    """Return how an agent is at this moment; `began_at` is when it began, on the monotonic clock."""
    capacity = {offer.name: offer.capacity for offer in hello.services}
    return Inspection(
        agent_id=hello.agent_id,
        generation=hello.generation,
        version=hello.version,
        python=platform.python_version(),
        engine=engine_name(),
        zone=hello.zone,
        uptime=time.monotonic() - began_at,
        in_flight=sum(service.in_flight for service in services),
        services=[_service(service, capacity.get(service.name)) for service in services],
        tunnels=[_tunnel(link, link.tunnel) for link in links if link.tunnel is not None],
        memory=_resident(),
        cpu_seconds=time.process_time(),
        cpus=_cpus(),
        failures=list(failures),
    )


def _service(service: Service, capacity: int | None) -> ServiceState:
    return ServiceState(
        service=service.name,
        capacity=capacity,
        upstreams=[
            UpstreamState(
                url=pool.upstream.url[:MAX_TEXT],
                healthy=pool.healthy,
                reason="" if pool.healthy else pool.reason[:MAX_TEXT],
                in_flight=pool.in_flight,
                connections=pool.connections,
            )
            for pool in service.pools[:MAX_UPSTREAMS]
        ],
    )


def _tunnel(link: Link, tunnel: AgentTunnel) -> TunnelState:
    welcome = tunnel.welcome()
    return TunnelState(
        edge=str(link.edge)[:MAX_TEXT],
        edge_id=welcome.edge_id,
        tunnel_id=welcome.tunnel_id,
        uptime=tunnel.uptime,
        in_flight=tunnel.in_flight,
    )


def _resident() -> int:
    """Bytes of memory that the process has now; 0 where the system does not say."""
    with suppress(OSError, ValueError, IndexError), open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _cpus() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 0
