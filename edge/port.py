"""The one seam between the control process and a data plane: typed messages both ways, one JSON document each.

Down come snapshots and commands; up go readiness, registry changes and counters. A process that has just come to the
seam is told everything first: a data plane gets Start, a control process gets PlaneReady, RegistryState and Counters.
How the messages cross is in `edge.seam`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from h2s.liveness import LivenessTimes
from h2s.messages import ConfigVersion, Inspection

from .balancing import Balancing
from .control import POLL_INTERVAL
from .explain import Explanation, Question
from .ingress.limits import IngressLimits
from .lobby import LobbyLimits
from .snapshot import Snapshot, SnapshotChange

__all__ = [
    "DURATION_BOUNDS",
    "AgentCounted",
    "AskLoad",
    "ChangeConfig",
    "Command",
    "ConfigState",
    "Configure",
    "Counters",
    "Disconnect",
    "DrainPlane",
    "Explain",
    "Explained",
    "Inspect",
    "Inspected",
    "InstanceState",
    "Load",
    "NewAgent",
    "Notice",
    "PlaneReady",
    "PlaneStopped",
    "PortMessage",
    "RegistryChange",
    "RegistryState",
    "RenewCertificate",
    "RequestCount",
    "Start",
    "TunnelState",
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
    poll_interval: float = POLL_INTERVAL
    """Seconds between two Polls of an agent."""
    balancing: Balancing = Balancing()
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


class AskLoad(PortMessage):
    """Say what is in flight on these agents and services; answered by Load with the same `id`."""

    kind: Literal["ask_load"] = "ask_load"
    id: int
    agents: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


class Disconnect(PortMessage):
    """Close the tunnels of these agents, each as soon as it has nothing in flight or after `grace` seconds."""

    kind: Literal["disconnect"] = "disconnect"
    agents: tuple[str, ...]
    grace: float


class Inspect(PortMessage):
    """Ask an agent how it is; answered by Inspected with the same `id`, within `timeout` seconds."""

    kind: Literal["inspect"] = "inspect"
    id: int
    agent_id: str
    timeout: float = 5.0


class AgentCounted(PortMessage):
    """The answer to NewAgent. Config that knows the agent came before it."""

    kind: Literal["agent_counted"] = "agent_counted"
    token_id: str
    agent_id: str
    refused: str = ""
    """Why the agent is not to be let in: `token_used_up`, or anything that may pass."""


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
    Start
    | Configure
    | ChangeConfig
    | Explain
    | AskLoad
    | Inspect
    | Disconnect
    | AgentCounted
    | RenewCertificate
    | DrainPlane,
    Field(discriminator="kind"),
]


# -- up ----------------------------------------------------------------------------------------------------------------


class PlaneReady(PortMessage):
    """The data plane listens: on these addresses, as HOST:PORT."""

    kind: Literal["ready"] = "ready"
    public: str
    tunnel: str
    pid: int
    engine: str = ""
    """Which HTTP/2 engine runs."""
    started: float = 0.0
    """When it began to listen (Unix time)."""


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


class Load(PortMessage):
    """The answer to AskLoad: requests in flight; what is not named has none, or is not there."""

    kind: Literal["load"] = "load"
    id: int
    instances: dict[str, int]
    """By instance id."""
    tunnels: dict[str, int]
    """By tunnel id."""
    services: dict[str, int]


class Inspected(PortMessage):
    """The answer to Inspect."""

    kind: Literal["inspected"] = "inspected"
    id: int
    inspection: Inspection | None = None
    status: str = "OK"
    """Why there is none, as the name of one of gRPC's status codes: NOT_FOUND if no such agent is connected,
    UNIMPLEMENTED if it is too old to be asked, DEADLINE_EXCEEDED ..."""
    detail: str = ""


class InstanceState(BaseModel):
    """One instance as the data plane sees it."""

    model_config = ConfigDict(frozen=True)

    service: str
    agent_id: str
    zone: str
    labels: dict[str, str]
    healthy: int
    total: int
    since: float = 0.0
    """When its health last changed (Unix time)."""
    capacity: int = 0
    drained: bool = False
    """Whether an operator wants it to get no new requests."""
    in_flight: int
    """When this was said."""
    tunnels: int
    """Those of its agent that take requests."""
    reconnecting: bool = False
    """Whether its last tunnel has broken: it is counted for a moment, and gets no requests."""
    ejected: bool = False
    """Whether it gets no requests because what it was sent went wrong."""
    publish: bool = False
    """Whether discovery makes it reachable from outside."""
    address: str = ""
    """Where its agent dialled from."""
    version: str = ""
    """Of its agent's software."""
    token_id: str = ""
    """The join token that its agent came with."""
    connected: float = 0.0
    """When its agent came (Unix time)."""

    @property
    def instance_id(self) -> str:
        """Its name: no service has a dot in its own."""
        return f"{self.service}.{self.agent_id}"


class TunnelState(BaseModel):
    """One tunnel as the data plane sees it."""

    model_config = ConfigDict(frozen=True)

    tunnel_id: str
    agent_id: str
    address: str
    """Where it was dialled from."""
    opened: float
    """When it was (Unix time)."""
    draining: bool
    """Whether it takes no new requests."""


class NewAgent(PortMessage):
    """An agent wants to register with a join token of limited use that has not let it in before."""

    kind: Literal["new_agent"] = "new_agent"
    token_id: str
    agent_id: str


class RegistryState(PortMessage):
    """All instances and tunnels, or the first of them: the rest follows as changes."""

    kind: Literal["registry"] = "registry"
    instances: tuple[InstanceState, ...]
    standing: tuple[TunnelState, ...] = ()
    """The tunnels of their agents."""
    tunnels: int
    """How many there are, those included that serve no one any more."""


class RegistryChange(PortMessage):
    """What has changed since the last word about the registry."""

    kind: Literal["registry_change"] = "registry_change"
    agents: tuple[str, ...]
    """Ids of the agents that something has changed about: what was known of their instances is no more."""
    instances: tuple[InstanceState, ...]
    """The instances that these agents have now, if any."""
    standing: tuple[TunnelState, ...] = ()
    """The tunnels that these agents have now."""
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
    waiting: int = 0
    """Of those in flight the ones that wait for an instance with room."""
    public_connections: int
    tunnels_opened: int
    registrations_refused: int


class PlaneStopped(PortMessage):
    """The data plane has drained and closed everything."""

    kind: Literal["stopped"] = "stopped"


Notice = Annotated[
    PlaneReady
    | ConfigState
    | Explained
    | Load
    | Inspected
    | NewAgent
    | RegistryState
    | RegistryChange
    | Counters
    | PlaneStopped,
    Field(discriminator="kind"),
]

DURATION_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds of the buckets of request durations."""
