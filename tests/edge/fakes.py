"""Both ends of an exchange without a socket: a client that checks the contract, tunnels that record, and a gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from edge.balancing import Balancing
from edge.gateway import EdgeGateway
from edge.message import Request
from edge.pools import Pools
from edge.registry import Agent, Change, Instance, Offer, Registry
from edge.routing import Router
from edge.snapshot import Snapshot
from edge.waiting import WaitingRoom
from h2s.budget import Budget
from h2s.connection import Connection, Stream
from h2s.engine.session import Fields, Limits
from h2s.errors import NoFreeStream
from h2s.messages import ConfigVersion, InstanceReport, Report

VERSION = ConfigVersion(fleet="f", epoch=1, n=1)


def make_request(**changes: Any) -> Request:
    """Return a plain GET, or one that differs in `changes`."""
    values: dict[str, Any] = {
        "method": b"GET",
        "scheme": b"http",
        "authority": b"web.localhost",
        "path": b"/",
        "fields": [],
        "upgrade": None,
        "version": "1.1",
        "peer": "192.0.2.7",
        "started": 0.0,
        "end_stream": True,
    }
    return Request(**(values | changes))


class FakeDownstream:
    """A client's half. Whatever the gateway may not do fails the test."""

    write_ahead = 0

    def __init__(self, *, upgrade: bool = False) -> None:
        self.upgrade = upgrade
        self.takes = True
        self.status = 0
        self.fields: Fields = []
        self.body = b""
        self.trailers: Fields | None = None
        self.informational: list[int] = []
        self.ended = False
        self.aborted = False
        self.gone = False
        self.paused = False
        self.waiting = False

    @property
    def over(self) -> bool:
        """Nothing may be sent any more."""
        return self.ended or self.aborted or self.gone

    @property
    def accepted(self) -> bool:
        """The upgrade was accepted, so that the directions end one by one."""
        return self.upgrade and 200 <= self.status < 300

    def send_informational(self, status: int, fields: Fields) -> None:
        assert not self.over
        assert not self.status
        self.informational.append(status)

    def send_head(self, status: int, fields: Fields, *, end_stream: bool) -> None:
        assert not self.over
        assert not self.status, "a second head"
        self.status = status
        self.fields = fields
        self.ended = end_stream

    def send_data(self, data: bytes, *, end_stream: bool) -> bool:
        assert not self.over
        assert self.status, "a body before the head"
        self.body += data
        self.ended = end_stream
        self.waiting = not self.takes and not end_stream
        return self.takes

    def send_trailers(self, fields: Fields) -> None:
        assert not self.over
        self.trailers = fields
        self.ended = True

    def abort(self) -> None:
        assert not self.over
        assert self.status, "an error status would have been possible"
        self.aborted = True

    def pause_request(self) -> None:
        assert not self.aborted
        assert not self.gone
        assert not self.ended or self.accepted
        assert not self.paused
        self.paused = True

    def resume_request(self) -> None:
        assert not self.aborted
        assert not self.gone
        assert not self.ended or self.accepted
        assert self.paused
        self.paused = False


@dataclass
class FakeStream:
    """What a tunnel's connection knows of one stream."""

    taker: Stream
    fields: Fields
    edge_ended: bool
    sent: list[bytes] = field(default_factory=list)
    trailers: Fields | None = None
    agent_headed: bool = False
    agent_ended: bool = False
    reset_code: int | None = None
    credited: int = 0

    @property
    def over(self) -> bool:
        """Both directions have ended, or it was reset."""
        return self.reset_code is not None or (self.edge_ended and self.agent_ended)


class FakeConnection:
    """A tunnel's connection and its session in one, which takes `free` streams at once."""

    def __init__(self, free: int = 100) -> None:
        self.limits = Limits()
        self.session = self
        self.closed = False
        self.free = free
        self.refuses = False
        self.takes = True
        self.backlog = 0
        self.streams: dict[int, Stream] = {}
        self.known: dict[int, FakeStream] = {}

    @property
    def free_streams(self) -> int:
        return self.free - sum(not stream.over for stream in self.known.values())

    def open(self, fields: Fields, stream: Stream, *, end_stream: bool, urgent: bool = False) -> int:
        if self.refuses or self.free_streams <= 0:
            raise NoFreeStream("full")
        stream_id = 2 * len(self.known) + 1
        self.known[stream_id] = FakeStream(stream, fields, end_stream)
        self.streams[stream_id] = stream
        return stream_id

    def _open_stream(self, stream_id: int) -> FakeStream:
        stream = self.known[stream_id]
        assert stream.reset_code is None, "used after its reset"
        return stream

    def send_data(self, stream_id: int, data: bytes, *, end_stream: bool) -> bool:
        stream = self._open_stream(stream_id)
        assert not stream.edge_ended, "data after the end"
        stream.sent.append(data)
        stream.edge_ended = end_stream
        if not self.takes:
            self.backlog += len(data)
        return self.takes

    def send_trailers(self, stream_id: int, fields: Fields) -> None:
        stream = self._open_stream(stream_id)
        assert not stream.edge_ended
        stream.trailers = fields
        stream.edge_ended = True

    def queued(self, stream_id: int) -> int:
        return self.backlog

    def credit(self, stream_id: int, size: int) -> None:
        self._open_stream(stream_id).credited += size

    def widen(self, stream_id: int, size: int) -> None:
        self._open_stream(stream_id)

    def reset(self, stream_id: int, code: int) -> None:
        stream = self._open_stream(stream_id)
        stream.reset_code = code
        self.streams.pop(stream_id, None)

    def forget(self, stream_id: int) -> None:
        self.streams.pop(stream_id, None)

    # -- what the agent does -----------------------------------------------------------------------------------------

    @property
    def last(self) -> FakeStream:
        """The stream opened last."""
        return self.known[max(self.known)]

    def lose(self, code: int = 0x8, *, processed: bool = True) -> None:
        """End every stream as a lost connection, or an agent's resets, do."""
        streams, self.streams = self.streams, {}
        for stream_id, taker in streams.items():
            self.known[stream_id].reset_code = code
            taker.on_reset(code, processed)


class FakeTunnel:
    """An `edge.registry.Tunnel`."""

    def __init__(self, free: int = 100, tunnel_id: str = "t") -> None:
        self.tunnel_id = tunnel_id
        self.peer = "192.0.2.1"
        self.opened = 5.0
        self.fake = FakeConnection(free)
        self.connection = cast(Connection, self.fake)
        self.in_flight = 0
        self.draining = False

    @property
    def free_streams(self) -> int:
        return 0 if self.draining else self.fake.free_streams

    def release(self) -> None:
        self.in_flight -= 1
        assert self.in_flight >= 0


def make_agent(agent_id: str = "a", generation: int = 1, zone: str = "", token: str = "t") -> Agent:
    """Return an agent that is not registered yet."""
    return Agent(
        agent_id=agent_id, generation=generation, version="1", zone=zone, peer="192.0.2.1", token_id=token
    )


def make_offer(
    service: str = "web",
    *,
    publish: bool = True,
    token: str = "t",
    capacity: int | None = None,
    **labels: str,
) -> Offer:
    """Return what a token grants."""
    return Offer(service=service, labels=labels, publish=publish, capacity=capacity, token_id=token)


def make_report(healthy: int = 1, service: str = "web", **more: Any) -> Report:
    """Return an agent's Report about one service."""
    return Report(instances=[InstanceReport(service=service, healthy=healthy, total=max(healthy, 1), **more)])


class World:
    """An edge with one service `web` and as many instances as are added. Its time stands still."""

    def __init__(self, *, limit: int = 1 << 20, zone: str = "", balancing: Balancing | None = None) -> None:
        self.clock = 0.0
        self.changes: list[Change] = []
        self.registry = Registry(zone=zone, balancing=balancing, clock=lambda: self.clock)
        self.registry.tell = self.changes.extend
        self.budget = Budget(limit)
        self.soon: list[Callable[[], None]] = []
        """What is to be done at the end of the turn."""
        self.room = WaitingRoom(
            limit=balancing.queue_size if balancing is not None else 0,
            timeout=balancing.queue_timeout if balancing is not None else 0.0,
            clock=lambda: self.clock,
            soon=self.soon.append,
        )
        self.registry.listeners.append(self.room)
        self.pools = Pools(self.registry)
        snapshot = Snapshot(version=VERSION, edge_id="e")
        self.gateway = EdgeGateway(
            Router(snapshot, self.registry), budget=self.budget, access_log=None, room=self.room
        )
        self.gateway.time = lambda: self.clock
        self.gateway.on_failure = self.registry.failed

    def turn(self) -> None:
        """End the loop's turn."""
        while self.soon:
            self.soon.pop(0)()

    def wait(self, seconds: float) -> None:
        """Let time pass, and do what is due then."""
        self.clock += seconds
        for tended in (self.registry, self.room):
            if tended.due is not None and tended.due <= self.clock:
                tended.tend()
        self.turn()

    def add(
        self,
        agent_id: str = "a",
        *,
        tunnels: int = 1,
        free: int = 100,
        zone: str = "",
        capacity: int | None = None,
        **labels: str,
    ) -> list[FakeTunnel]:
        """Connect an agent with a healthy instance."""
        agent = make_agent(agent_id, zone=zone)
        made = [FakeTunnel(free, f"{agent_id}{number}") for number in range(tunnels)]
        for tunnel in made:
            agent, _ = self.registry.add_tunnel(agent, [make_offer(capacity=capacity, **labels)], tunnel)
        self.registry.report(agent, make_report(), 0.0)
        return made

    @property
    def instances(self) -> list[Instance]:
        """Every instance."""
        return [one for agent in self.registry.agents.values() for one in agent.instances.values()]

    @property
    def finished(self) -> int:
        """How many exchanges have been counted as over."""
        return sum(self.gateway.counters.requests.values())

    def assert_at_rest(self) -> None:
        """Nothing is in flight and nothing is held."""
        assert self.gateway.in_flight == 0
        assert self.room.size == 0
        assert self.budget.total == 0
        assert [one.in_flight for one in self.instances] == [0] * len(self.instances)
        for agent in self.registry.agents.values():
            for tunnel in agent.tunnels:
                assert isinstance(tunnel, FakeTunnel)
                assert tunnel.in_flight == 0
                assert not tunnel.fake.streams
                assert all(stream.over for stream in tunnel.fake.known.values()), "a stream is left open"
