"""What edge and agent say to each other: registration and control messages.

All are JSON of these models. Unknown fields are ignored, so a newer peer can say more; every text and list has a
bound, so a hostile one cannot say much more.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "AgentMessage",
    "Config",
    "ConfigAck",
    "ConfigVersion",
    "Credentials",
    "Drain",
    "DrainAck",
    "Draining",
    "EdgeAddress",
    "EdgeMessage",
    "Failure",
    "HealthCheck",
    "Hello",
    "InspectRequest",
    "Inspection",
    "InstanceReport",
    "Load",
    "Message",
    "PollRequest",
    "Refusal",
    "Report",
    "ServiceOffer",
    "ServiceState",
    "TunnelLimits",
    "TunnelState",
    "UpstreamState",
    "Welcome",
]

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""A service's name: one DNS label, since `<name>.<domain>` is its host."""
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
LabelKey = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$")]
LabelValue = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$")]
Labels = Annotated[dict[LabelKey, LabelValue], Field(max_length=64)]
Zone = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$")]
ShortText = Annotated[str, Field(max_length=256)]
Count = Annotated[int, Field(ge=0, le=1_000_000)]


class Message(BaseModel):
    """Base of all messages: frozen, unknown fields ignored; numbers are numbers (RFC 8259 has no NaN)."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


# -- registration (phase 1) ------------------------------------------------------------------------------------------


class Credentials(Message):
    """What proves that an agent may register. Never logged."""

    join_secret: str = Field(max_length=256, repr=False)
    """The join token's secret in hex."""


class ServiceOffer(Message):
    """A service the agent has an app for."""

    name: Name
    labels: Labels = {}
    capacity: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests at once, if limited."""


class Hello(Message):
    """The agent's registration request."""

    agent_id: Identifier
    generation: Annotated[int, Field(ge=0, lt=2**63)]
    """Chosen at process start, growing from start to start; the higher one of an agent id wins."""
    version: ShortText
    """Of the agent's software."""
    services: Annotated[list[ServiceOffer], Field(min_length=1, max_length=256)]
    zone: Zone = ""
    credentials: Credentials

    @model_validator(mode="after")
    def _each_service_once(self) -> Hello:
        names = [service.name for service in self.services]
        if len(set(names)) != len(names):
            raise ValueError("a service is offered twice")
        return self


class ConfigVersion(Message):
    """Which config an edge speaks of: comparable only within one fleet and epoch."""

    fleet: ShortText
    epoch: Annotated[int, Field(ge=0, lt=2**63)]
    n: Annotated[int, Field(ge=0, lt=2**63)]


class EdgeAddress(Message):
    """An edge of the fleet and where agents dial it."""

    edge_id: Identifier
    address: ShortText


class TunnelLimits(Message):
    """What the edge holds to, so that the agent need not guess."""

    max_message: Annotated[int, Field(ge=1, le=2**31)]
    """Largest control message in bytes."""


class Welcome(Message):
    """The edge's answer to a registration that it accepts."""

    edge_id: Identifier
    tunnel_id: Identifier
    control_nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", repr=False)]
    config_version: ConfigVersion
    edges: Annotated[list[EdgeAddress], Field(max_length=1024)] = []
    limits: TunnelLimits


class Refusal(Message):
    """The edge's answer to a registration that it does not accept (RFC 9457 problem)."""

    type: ShortText = "about:blank"
    title: ShortText
    status: Annotated[int, Field(ge=400, le=599)]
    detail: Annotated[str, Field(max_length=1024)]
    code: Identifier
    """Stable reason, for example `token_unknown`, `superseded`, `draining`."""
    permanent: bool
    """Trying again without a change cannot help."""
    retry_after: Annotated[float, Field(ge=0, le=86_400)] | None = None
    """Seconds to wait before the next try, at least."""


# -- control (phase 2) -----------------------------------------------------------------------------------------------


class InstanceReport(Message):
    """One service of the agent, as it stands."""

    service: Name
    healthy: Count
    """Upstreams that can take requests."""
    total: Count
    """Upstreams there are."""
    in_flight: Count = 0
    capacity: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    @model_validator(mode="after")
    def _healthy_within_total(self) -> InstanceReport:
        if self.healthy > self.total:
            raise ValueError("more upstreams are healthy than there are")
        return self


Share = Annotated[float, Field(ge=0, le=1)]


class Load(Message):
    """How busy the agent's machine is, and the agent itself. What cannot be known is left out."""

    cpu: Share | None = None
    """Of the CPU time that the machine, or the container, may use."""
    memory: Share | None = None
    """Of the memory that it may use."""
    agent_cpu: Annotated[float, Field(ge=0, le=10_000)] | None = None
    """Cores that the agent itself uses."""
    agent_memory: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Bytes that are resident of the agent."""


class Report(Message):
    """All services of the agent; sent at the start, on each change, and now and then for the load."""

    instances: Annotated[list[InstanceReport], Field(max_length=256)]
    load: Load | None = None


def _ascending(text: str) -> str:
    first, _, last = text.partition("-")
    if last and last < first:
        raise ValueError(f"{text} ends before it begins")
    return text


StatusRange = Annotated[str, Field(pattern=r"^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"), AfterValidator(_ascending)]
"""A status, `204`, or from one to another, `200-399`."""


class HealthCheck(Message):
    """How an agent finds out whether an upstream can take requests. Times are in seconds."""

    kind: Literal["http", "grpc", "tcp", "none"] = "tcp"
    """A GET request, a call of gRPC's health service, a connection (over TLS with its handshake), or nothing: then it
    is always healthy."""
    path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=1024)] = "/"
    """What is requested, with its query."""
    service: Annotated[str, Field(pattern=r"^[A-Za-z0-9_./-]*$", max_length=127)] = ""
    """The gRPC service that is asked for; without one the server as a whole."""
    host: Annotated[str, Field(pattern=r"^[!-.0->A-~]*$", max_length=255)] = ""
    """The host it is requested of; without one that of the upstream's address."""
    expect: Annotated[list[StatusRange], Field(min_length=1, max_length=32)] = ["200-399"]
    """Statuses of which one says that all is well."""
    interval: Annotated[float, Field(ge=0.05, le=86_400)] = 10.0
    """From one check of a healthy upstream to the next."""
    retry: Annotated[float, Field(ge=0.05, le=86_400)] = 1.0
    """The same while it is unhealthy, or a check has failed; never longer than `interval`."""
    timeout: Annotated[float, Field(ge=0.05, le=600)] = 3.0
    """That a check may take."""
    healthy: Annotated[int, Field(ge=1, le=100)] = 1
    """Good checks in a row that make it healthy again; at the start one is enough."""
    unhealthy: Annotated[int, Field(ge=1, le=100)] = 2
    """Failed checks in a row that make it unhealthy. A connection that a request could not make counts as one."""
    grace: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    """After the start, that nothing makes it unhealthy once it has been healthy."""
    passive: Annotated[int, Field(ge=0, le=1000)] = 5
    """Requests in a row that it left unanswered or answered with 502, 503 or 504 which make it unhealthy, unless it is
    the last healthy one: that is checked at once. 0: they do not count."""

    def expects(self, status: int) -> bool:
        """Say whether an answer with `status` is a good one."""
        for text in self.expect:
            first, _, last = text.partition("-")
            if int(first) <= status <= int(last or first):
                return True
        return False


class Draining(Message):
    """The agent is stopping: open no more streams on this tunnel."""

    reason: ShortText = ""


class DrainAck(Message):
    """The edge opens no more streams: whatever was opened has been sent before this."""


class Drain(Message):
    """The edge is stopping: have tunnels elsewhere. This one serves until it is closed."""

    reason: ShortText = ""
    deadline: Annotated[float, Field(ge=0)]
    """Seconds until the edge closes the tunnel at the latest."""


class Config(Message):
    """What the edge wants the agent to apply."""

    version: ConfigVersion


class ConfigAck(Message):
    """Which config the agent has applied, or why it could not."""

    version: ConfigVersion
    error: ShortText | None = None


def _at_most_one(message: Any) -> Any:
    names = list(type(message).model_fields)
    if sum(getattr(message, name) is not None for name in names) > 1:
        raise ValueError(f"at most one of {', '.join(names)} may be set")
    return message


class EdgeMessage(Message):
    """Edge to agent on Sync: one of these; none means something newer than this code, to be ignored."""

    config: Config | None = None
    drain: Drain | None = None
    drain_ack: DrainAck | None = None

    _one = model_validator(mode="after")(_at_most_one)


class AgentMessage(Message):
    """Agent to edge on Sync: one of these; none means something newer than this code, to be ignored."""

    report: Report | None = None
    config_ack: ConfigAck | None = None
    draining: Draining | None = None

    _one = model_validator(mode="after")(_at_most_one)


# -- unary calls ---------------------------------------------------------------------------------------------------


class PollRequest(Message):
    """Edge to agent on Poll, answered with a Report."""


class InspectRequest(Message):
    """Edge to agent on Inspect, answered with an Inspection."""


Seconds = Annotated[float, Field(ge=0, le=1e12)]
Bytes = Annotated[int, Field(ge=0, lt=2**63)]


class UpstreamState(Message):
    """One local address that a service is forwarded to."""

    url: ShortText
    healthy: bool
    reason: ShortText = ""
    """Why it is not healthy."""
    in_flight: Count = 0
    connections: Count = 0
    """Open to it, idle or in use."""


class ServiceState(Message):
    """One service of the agent, and its upstreams."""

    service: Name
    capacity: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    upstreams: Annotated[list[UpstreamState], Field(max_length=256)] = []


class TunnelState(Message):
    """One tunnel of the agent, to whichever edge."""

    edge: ShortText
    """The address that it dialled."""
    edge_id: ShortText
    tunnel_id: ShortText
    uptime: Seconds = 0.0
    in_flight: Count = 0


class Failure(Message):
    """A warning or an error of the agent's log."""

    at: Seconds
    """Unix time."""
    level: ShortText
    text: ShortText


class Inspection(Message):
    """What an operator wants to see of a live agent."""

    agent_id: Identifier
    generation: Annotated[int, Field(ge=0, lt=2**63)]
    version: ShortText
    python: ShortText = ""
    engine: ShortText = ""
    """The HTTP/2 engine: native or portable."""
    zone: Zone = ""
    uptime: Seconds
    """Since the process began to serve."""
    in_flight: Count
    """Requests that run, on all tunnels."""
    services: Annotated[list[ServiceState], Field(max_length=256)] = []
    tunnels: Annotated[list[TunnelState], Field(max_length=1024)] = []
    memory: Bytes = 0
    """Resident bytes; 0 where the system does not say."""
    cpu_seconds: Seconds = 0.0
    """CPU time that the process has used."""
    cpus: Count = 0
    """CPUs that it may use."""
    failures: Annotated[list[Failure], Field(max_length=64)] = []
    """The last ones, oldest first."""
