from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from edge.balancing import Balancing
from edge.ingress import IngressLimits
from edge.lobby import LobbyLimits
from edge.port import (
    AgentCounted,
    AskLoad,
    Command,
    Configure,
    Disconnect,
    DrainPlane,
    InstanceState,
    Load,
    NewAgent,
    Notice,
    PlaneReady,
    PlaneStopped,
    PortMessage,
    RegistryChange,
    RegistryState,
    Start,
    TunnelState,
)
from edge.snapshot import JoinGrant, Snapshot
from h2s.liveness import LivenessTimes

from .fakes import VERSION

COMMANDS: TypeAdapter[PortMessage] = TypeAdapter(Command)
NOTICES: TypeAdapter[PortMessage] = TypeAdapter(Notice)
SNAPSHOT = Snapshot(
    version=VERSION,
    edge_id="e",
    grants=(JoinGrant(token_id="t", secret_sha256="0", labels={"a": "b"}, expires=1.5),),
)
INSTANCE = InstanceState(
    service="web", agent_id="a", zone="", labels={"a": "b"}, healthy=1, total=2, in_flight=3, tunnels=1
)
TUNNEL = TunnelState(tunnel_id="t", agent_id="a", address="192.0.2.1", opened=1.5, draining=False)


@pytest.mark.parametrize(
    "message",
    [
        Start(
            public=("::1", 80),
            tunnel=("127.0.0.1", 1),
            tunnel_certificate="/c",
            tunnel_key="/k",
            ingress_limits=IngressLimits(head_timeout=1.5),
            lobby_limits=LobbyLimits(max_unregistered=3),
            liveness=LivenessTimes(idle=2.5),
            balancing=Balancing(queue_size=3),
            snapshot=SNAPSHOT,
        ),
        Configure(snapshot=SNAPSHOT),
        AskLoad(id=1, agents=("a",), services=("web",)),
        Disconnect(agents=("a",), grace=1.5),
        AgentCounted(token_id="t", agent_id="a", refused="token_used_up"),
        DrainPlane(timeout=1.0),
    ],
    ids=lambda message: message.kind,
)
def test_a_command_arrives_as_it_was_sent(message: PortMessage) -> None:
    assert COMMANDS.validate_json(message.model_dump_json()) == message


@pytest.mark.parametrize(
    "message",
    [
        PlaneReady(public="[::1]:80", tunnel="127.0.0.1:1", pid=7),
        Load(id=1, instances={"web.a": 1}, tunnels={"t": 1}, services={"web": 1}),
        NewAgent(token_id="t", agent_id="a"),
        RegistryState(instances=(INSTANCE,), standing=(TUNNEL,), tunnels=1),
        RegistryChange(agents=("a", "b"), instances=(INSTANCE,), tunnels=1),
        PlaneStopped(),
    ],
    ids=lambda message: message.kind,
)
def test_a_notice_arrives_as_it_was_sent(message: PortMessage) -> None:
    assert NOTICES.validate_json(message.model_dump_json()) == message


def test_a_message_of_another_version_or_direction_is_not_taken() -> None:
    with pytest.raises(ValidationError):
        COMMANDS.validate_json(b'{"v":2,"kind":"drain","timeout":1}')
    with pytest.raises(ValidationError):
        COMMANDS.validate_json(PlaneStopped().model_dump_json())


def test_no_secret_of_a_token_crosses_but_its_hash() -> None:
    assert "secret_sha256" in Configure(snapshot=SNAPSHOT).model_dump_json()
    assert "secret_sha256" not in repr(SNAPSHOT)
