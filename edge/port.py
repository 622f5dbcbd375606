"""The one seam between the control process and a data plane: typed messages both ways, one JSON document each.

Down come snapshots and commands; up go readiness, registry changes and counters. A process that has just come to the
seam is told everything first: a data plane gets Start, a control process gets PlaneReady, RegistryState and Counters.
How the messages cross is in `edge.seam`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from h2s.liveness import LivenessTimes
from h2s.messages import ConfigVersion

from .explain import Explanation, Question
from .ingress.limits import IngressLimits
from .lobby import LobbyLimits
from .snapshot import Snapshot, SnapshotChange

__all__ = [
    "DURATION_BOUNDS",
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
    "PortMessage",
    "RegistryChange",
    "RegistryState",
    "RenewCertificate",
    "RequestCount",
    "Start",
]


class PortMessage(BaseModel):
    """Base of all messages on the port."""

    model_config = ConfigDict(frozen=True)
    v: Literal[1] = 1


# -- down --------------------------------------------------------------------------------------------------------------


class Start(PortMessage):
    """What a data plane is to be; the first word of every control process. One that runs takes from it the snapshot
    and reads the certificates again: addresses, limits and logs stay as they are until it ends."""

    kind: Literal["start"] = "start"
    public: tuple[str, int]
    tunnel: tuple[str, int]
    tunnel_certificate: str
    """Paths of PEM files. Keys cross by path, and the CA's key not at all."""
    tunnel_key: str
    public_certificate: str | None = None
    """None: the public is served without TLS."""
    public_key: str | None = None
    access_log: str = "-"
    """A file, `-` for stdout, or `none`."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "human", "json"] = "auto"
    ingress_limits: IngressLimits = IngressLimits()
    lobby_limits: LobbyLimits = LobbyLimits()
    liveness: LivenessTimes = LivenessTimes()
    drain_timeout: float = 30.0
    """Seconds that requests have to finish when the edge stops."""
    snapshot: Snapshot


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
    Start | Configure | ChangeConfig | Explain | RenewCertificate | DrainPlane, Field(discriminator="kind")
]


# -- up ----------------------------------------------------------------------------------------------------------------


class PlaneReady(PortMessage):
    """The data plane listens: on these addresses, as HOST:PORT."""

    kind: Literal["ready"] = "ready"
    public: str
    tunnel: str
    pid: int


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
    """All instances and how many tunnels there are."""

    kind: Literal["registry"] = "registry"
    instances: tuple[InstanceState, ...]
    tunnels: int


class RegistryChange(PortMessage):
    """What has changed since the last word about the registry."""

    kind: Literal["registry_change"] = "registry_change"
    agents: tuple[str, ...]
    """Ids of the agents that something has changed about: what was known of their instances is no more."""
    instances: tuple[InstanceState, ...]
    """The instances that these agents have now, if any."""
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
    """Those that have changed since the last report."""
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
    PlaneReady | ConfigState | Explained | RegistryState | RegistryChange | Counters | PlaneStopped,
    Field(discriminator="kind"),
]

DURATION_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds of the buckets of request durations."""
