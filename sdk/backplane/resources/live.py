"""`client.services`, `client.instances`, `client.tunnels` and `client.edges`: what is connected now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Generic, TypeVar

from ..calls import live
from ..calls.pages import AsyncSend, Send, iterate, iterate_async
from ..models.live import Drain, Edge, Instance, InstanceCount, Service, Tunnel
from ..models.shared import Model

__all__ = [
    "AsyncEdges",
    "AsyncInstances",
    "AsyncServices",
    "AsyncTunnels",
    "Edges",
    "Instances",
    "Services",
    "Tunnels",
]

M = TypeVar("M", bound=Model)


class _Live(Generic[M]):
    _calls: live.Live[M]

    def __init__(self, send: Send) -> None:
        self._send = send

    def get(self, name: str) -> M:
        """Return one. Raises NotFound if it is not connected."""
        return self._send(self._calls.get(name))


class _AsyncLive(Generic[M]):
    _calls: live.Live[M]

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def get(self, name: str) -> M:
        """Return one. Raises NotFound if it is not connected."""
        return await self._send(self._calls.get(name))


class Services(_Live[Service]):
    """The names that instances go by."""

    _calls = live.SERVICES

    def list(self, *, selector: str | None = None, page_size: int = 100) -> Iterator[Service]:
        """Yield services in the order of their names; with a selector only what it picks is counted."""
        return iterate(self._send, self._calls.list({"selector": selector, "limit": page_size}))


class AsyncServices(_AsyncLive[Service]):
    """The names that instances go by."""

    _calls = live.SERVICES

    def list(self, *, selector: str | None = None, page_size: int = 100) -> AsyncIterator[Service]:
        """Yield services in the order of their names; with a selector only what it picks is counted."""
        return iterate_async(self._send, self._calls.list({"selector": selector, "limit": page_size}))


class Instances(_Live[Instance]):
    """What requests go to."""

    _calls = live.INSTANCES

    def list(
        self, *, selector: str | None = None, health: str | None = None, page_size: int = 100
    ) -> Iterator[Instance]:
        """Yield instances in the order of their ids.

        Args:
            selector: only those that it picks, `service=web,release in (v1,v2)`.
            health: only those that are `healthy`, `unhealthy` or `starting`.
            page_size: how many are asked for at once.
        """
        query = {"selector": selector, "health": health, "limit": page_size}
        return iterate(self._send, self._calls.list(query))

    def count(
        self, by: Sequence[str], *, selector: str | None = None, page_size: int = 100
    ) -> Iterator[InstanceCount]:
        """Yield how many there are of each combination of `by`: `service`, `zone`, `agent` or labels."""
        return iterate(self._send, live.count(by, {"selector": selector, "limit": page_size}))

    def drain(self, instance: str) -> None:
        """Send an instance no new requests, until it is resumed. Raises NotFound."""
        self._send(live.drain(instance))

    def resume(self, instance: str) -> None:
        """Send a drained instance requests again."""
        self._send(live.resume(instance))

    def disconnect(self, instance: str, *, grace: float = 30.0) -> None:
        """Close the tunnels of an instance's agent; it comes back by itself. Raises NotFound.

        Args:
            instance: its id.
            grace: seconds that running requests have; 0 cuts them.
        """
        self._send(live.disconnect(instance, grace=grace))

    def drains(self, *, page_size: int = 100) -> Iterator[Drain]:
        """Yield the instances that an operator has drained, connected or not."""
        return iterate(self._send, live.list_drains({"limit": page_size}))


class AsyncInstances(_AsyncLive[Instance]):
    """What requests go to: see `Instances`."""

    _calls = live.INSTANCES

    def list(
        self, *, selector: str | None = None, health: str | None = None, page_size: int = 100
    ) -> AsyncIterator[Instance]:
        """Yield instances in the order of their ids: see `Instances.list`."""
        query = {"selector": selector, "health": health, "limit": page_size}
        return iterate_async(self._send, self._calls.list(query))

    def count(
        self, by: Sequence[str], *, selector: str | None = None, page_size: int = 100
    ) -> AsyncIterator[InstanceCount]:
        """Yield how many there are of each combination of `by`: `service`, `zone`, `agent` or labels."""
        return iterate_async(self._send, live.count(by, {"selector": selector, "limit": page_size}))

    async def drain(self, instance: str) -> None:
        """Send an instance no new requests, until it is resumed. Raises NotFound."""
        await self._send(live.drain(instance))

    async def resume(self, instance: str) -> None:
        """Send a drained instance requests again."""
        await self._send(live.resume(instance))

    async def disconnect(self, instance: str, *, grace: float = 30.0) -> None:
        """Close the tunnels of an instance's agent: see `Instances.disconnect`."""
        await self._send(live.disconnect(instance, grace=grace))

    def drains(self, *, page_size: int = 100) -> AsyncIterator[Drain]:
        """Yield the instances that an operator has drained, connected or not."""
        return iterate_async(self._send, live.list_drains({"limit": page_size}))


class Tunnels(_Live[Tunnel]):
    """The connections of agents."""

    _calls = live.TUNNELS

    def list(self, *, selector: str | None = None, page_size: int = 100) -> Iterator[Tunnel]:
        """Yield tunnels; with a selector those of agents that have an instance which it picks."""
        return iterate(self._send, self._calls.list({"selector": selector, "limit": page_size}))


class AsyncTunnels(_AsyncLive[Tunnel]):
    """The connections of agents."""

    _calls = live.TUNNELS

    def list(self, *, selector: str | None = None, page_size: int = 100) -> AsyncIterator[Tunnel]:
        """Yield tunnels; with a selector those of agents that have an instance which it picks."""
        return iterate_async(self._send, self._calls.list({"selector": selector, "limit": page_size}))


class Edges(_Live[Edge]):
    """The edge that is asked, and how it is."""

    _calls = live.EDGES

    def list(self, *, page_size: int = 100) -> Iterator[Edge]:
        """Yield edges."""
        return iterate(self._send, self._calls.list({"limit": page_size}))


class AsyncEdges(_AsyncLive[Edge]):
    """The edge that is asked, and how it is."""

    _calls = live.EDGES

    def list(self, *, page_size: int = 100) -> AsyncIterator[Edge]:
        """Yield edges."""
        return iterate_async(self._send, self._calls.list({"limit": page_size}))
