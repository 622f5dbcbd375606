"""What the control process knows of its data planes: the last thing each said, added up over all of them."""

from __future__ import annotations

import asyncio

from edge.port import Counters, InstanceState, PlaneReady, PlaneStopped, PortMessage, RegistryState

__all__ = ["EdgeState"]


class EdgeState:
    """The whole edge as last reported; fed with notices from the port."""

    def __init__(self) -> None:
        self.ready: PlaneReady | None = None
        self.registry = RegistryState(instances=(), tunnels=0)
        self.counters: Counters | None = None
        self.draining = False
        self.listening = asyncio.Event()
        """Set once the data plane accepts connections."""
        self.stopped = asyncio.Event()
        """Set once the data plane has drained."""

    @property
    def instances(self) -> tuple[InstanceState, ...]:
        """Every instance connected to this edge."""
        return self.registry.instances

    @property
    def serving(self) -> bool:
        """Whether new requests are welcome."""
        return self.ready is not None and not self.draining

    def on_notice(self, notice: PortMessage) -> None:
        """Take a message from the data plane."""
        if isinstance(notice, PlaneReady):
            self.ready = notice
            self.listening.set()
        elif isinstance(notice, RegistryState):
            self.registry = notice
        elif isinstance(notice, Counters):
            self.counters = notice
        elif isinstance(notice, PlaneStopped):
            self.stopped.set()
