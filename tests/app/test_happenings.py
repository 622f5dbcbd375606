from __future__ import annotations

from typing import Any

import pytest

from app.happenings import AgentView, happenings
from edge.port import InstanceState, TunnelState

from .notices import make_instance


def view(*instances: InstanceState, tunnels: str = "1") -> AgentView:
    return AgentView(
        instances,
        tuple(
            TunnelState(tunnel_id=one, agent_id="a", address="192.0.2.1", opened=0.0, draining=False)
            for one in tunnels
        ),
    )


WEB = make_instance()
DOWN = make_instance(healthy=0)
AWAY = make_instance(reconnecting=True)
OUT = make_instance(ejected=True)


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        (None, view(DOWN), ["tunnel_opened"]),
        (None, view(WEB, tunnels="12"), ["tunnel_opened", "tunnel_opened", "instance_up"]),
        (view(DOWN), view(WEB), ["instance_up"]),
        (view(WEB), view(DOWN), ["instance_down"]),
        (view(WEB), view(make_instance(healthy=2)), ["instance_health"]),
        (view(WEB), view(WEB, tunnels="2"), ["tunnel_opened", "tunnel_closed"]),
        (view(WEB), view(WEB.model_copy(update={"drained": True})), ["instance_drained"]),
        (view(WEB.model_copy(update={"drained": True})), view(WEB), ["instance_resumed"]),
        (view(WEB), view(AWAY, tunnels=""), ["instance_reconnecting", "tunnel_closed"]),
        (view(AWAY, tunnels=""), view(WEB, tunnels="2"), ["tunnel_opened", "instance_reconnected"]),
        (view(AWAY, tunnels=""), None, ["instance_down"]),
        (view(WEB), view(OUT), ["instance_ejected"]),
        (view(OUT), view(WEB), ["instance_returned"]),
        (view(OUT), view(DOWN), ["instance_down"]),
        (view(WEB), view(WEB), []),
        (view(WEB), None, ["instance_down", "tunnel_closed"]),
        (view(DOWN), None, ["tunnel_closed"]),
        (None, None, []),
    ],
)
def test_what_differs_between_two_words_has_happened(
    before: AgentView | None, after: AgentView | None, kinds: list[str]
) -> None:
    assert [one.kind for one in happenings(before, after)] == kinds


def test_a_happening_says_whom_it_is_about() -> None:
    opened, up = happenings(None, view(WEB))
    tunnel: dict[str, Any] = {"tunnel": "1", "agent": "a", "address": "192.0.2.1", "services": ["web"]}
    assert opened.data == tunnel
    assert up.data == {
        "instance": "web.a",
        "service": "web",
        "agent": "a",
        "zone": "",
        "healthy": 1,
        "total": 2,
    }
