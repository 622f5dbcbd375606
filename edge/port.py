"""The one seam between the control process and a data plane: typed messages both ways.

Down come snapshots and commands; up go readiness, registry changes and counters, batched. Both sides may stand in
one process or in two: messages cross as bytes (one JSON document each), so neither side can reach into the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from h2s.messages import ConfigVersion

from .explain import Explanation, Question
from .snapshot import Snapshot, SnapshotChange

__all__ = [
    "ChangeConfig",
    "Command",
    "ConfigState",
    "Configure",
    "Counters",
    "DrainPlane",
    "Explain",
    "Explained",
    "InstanceState",
    "Notice",
    "PlaneReady",
    "PlaneStopped",
    "Port",
    "RegistryState",
    "RenewCertificate",
    "local_ports",
]


class PortMessage(BaseModel):
    """Base of all messages on the port."""

    model_config = ConfigDict(frozen=True)
    v: Literal[1] = 1


# -- down --------------------------------------------------------------------------------------------------------------


class Configure(PortMessage):
    """Serve from this snapshot from now on."""

    kind: Literal["configure"] = "configure"
    snapshot: Snapshot


class ChangeConfig(PortMessage):
    """Serve from what this makes of the snapshot in force, or one more part of what is coming."""

    kind: Literal["change_config"] = "change_config"
    change: SnapshotChange


class Explain(PortMessage):
    """Say what would become of this request; answered by Explained with the same `id`."""

    kind: Literal["explain"] = "explain"
    id: int
    question: Question


class RenewCertificate(PortMessage):
    """Show agents another certificate from now on; tunnels that stand go on. Both are paths of PEM files."""

    kind: Literal["renew_certificate"] = "renew_certificate"
    certificate: str
    key: str


class DrainPlane(PortMessage):
    """Stop: take nothing new, finish what runs within `timeout` seconds, then say PlaneStopped."""

    kind: Literal["drain"] = "drain"
    timeout: float


Command = Annotated[
    Configure | ChangeConfig | Explain | RenewCertificate | DrainPlane, Field(discriminator="kind")
]


# -- up ----------------------------------------------------------------------------------------------------------------


class PlaneReady(PortMessage):
    """The data plane listens: on these addresses, as HOST:PORT."""

    kind: Literal["ready"] = "ready"
    public: str
    tunnel: str


class ConfigState(PortMessage):
    """Which config is in force, after each that came in whole; or what became of one that is not."""

    kind: Literal["config"] = "config"
    version: ConfigVersion | None
    """None: none yet."""
    refused: str = ""
    """Why the one that came cannot be served."""
    wants_snapshot: bool = False
    """A change did not follow on the version in force: send a whole snapshot."""


class Explained(PortMessage):
    """The answer to Explain."""

    kind: Literal["explained"] = "explained"
    id: int
    explanation: Explanation


class InstanceState(BaseModel):
    """One instance as the data plane sees it."""

    model_config = ConfigDict(frozen=True)

    service: str
    agent_id: str
    zone: str
    labels: dict[str, str]
    healthy: int
    total: int
    in_flight: int
    tunnels: int
    publish: bool = False
    """Whether discovery makes it reachable from outside."""


class RegistryState(PortMessage):
    """All instances and how many tunnels there are; sent when something changed."""

    kind: Literal["registry"] = "registry"
    instances: tuple[InstanceState, ...]
    tunnels: int


class RequestCount(BaseModel):
    """Requests of one service and status class since the data plane started."""

    model_config = ConfigDict(frozen=True)

    service: str
    status_class: str
    count: int


class Counters(PortMessage):
    """Totals since the data plane started, and what is in flight now."""

    kind: Literal["counters"] = "counters"
    requests: tuple[RequestCount, ...]
    duration_buckets: tuple[int, ...]
    """Requests by duration, one number for each bound of `DURATION_BOUNDS` and one for those above."""
    duration_sum: float
    bytes_in: int
    bytes_out: int
    retries: int
    in_flight: int
    public_connections: int
    tunnels_opened: int
    registrations_refused: int


class PlaneStopped(PortMessage):
    """The data plane has drained and closed everything."""

    kind: Literal["stopped"] = "stopped"


Notice = Annotated[
    PlaneReady | ConfigState | Explained | RegistryState | Counters | PlaneStopped,
    Field(discriminator="kind"),
]

DURATION_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds of the buckets of request durations."""

_commands: TypeAdapter[PortMessage] = TypeAdapter(Command)
_notices: TypeAdapter[PortMessage] = TypeAdapter(Notice)


class Port:
    """One end of the seam: `send` puts a message on the wire, `receive` is set by whoever listens on this end."""

    def __init__(self, decode: Callable[[bytes], PortMessage]) -> None:
        self._decode = decode
        self._write: Callable[[bytes], None] | None = None
        self.receive: Callable[[PortMessage], None] | None = None

    def connect(self, write: Callable[[bytes], None]) -> None:
        """Say where bytes for the other end go."""
        self._write = write

    def send(self, message: PortMessage) -> None:
        """Send a message to the other end."""
        assert self._write is not None
        self._write(message.model_dump_json().encode())

    def feed(self, data: bytes) -> None:
        """A message from the other end came, as bytes."""
        if self.receive is not None:
            self.receive(self._decode(data))


def local_ports() -> tuple[Port, Port]:
    """Return the control process's end and the data plane's end of a seam inside one process."""
    loop = asyncio.get_running_loop()
    control, plane = Port(_notices.validate_json), Port(_commands.validate_json)
    control.connect(lambda data: _later(loop, plane, data))
    plane.connect(lambda data: _later(loop, control, data))
    return control, plane


def _later(loop: asyncio.AbstractEventLoop, port: Port, data: bytes) -> None:
    loop.call_soon(port.feed, data)
