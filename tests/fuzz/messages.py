"""JSON as peers should not write it: messages of h2s that are almost valid."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from .case import damaged, mostly

__all__ = ["CONTROL", "HELLOS", "REFUSALS", "WELCOMES"]

VERSION = {"fleet": "f", "epoch": 1, "n": 2}
HELLO: dict[str, Any] = {
    "agent_id": "agent-1",
    "generation": 7,
    "version": "0.1",
    "services": [{"name": "web", "labels": {"release": "v2"}, "capacity": 10}],
    "zone": "z1",
    "credentials": {"join_secret": "ab" * 32},
}
WELCOME: dict[str, Any] = {
    "edge_id": "edge-1",
    "tunnel_id": "t-1",
    "control_nonce": "0123456789abcdef" * 2,
    "config_version": VERSION,
    "edges": [{"edge_id": "edge-1", "address": "127.0.0.1:7443"}],
    "limits": {"max_message": 1024},
}
REFUSAL: dict[str, Any] = {
    "title": "no",
    "status": 401,
    "detail": "no",
    "code": "token_unknown",
    "permanent": True,
    "retry_after": 1.5,
}
MESSAGES: list[dict[str, Any]] = [
    {
        "report": {
            "instances": [{"service": "web", "healthy": 1, "total": 1, "in_flight": 0, "capacity": None}]
        }
    },
    {"config_ack": {"version": VERSION, "error": None}},
    {"draining": {"reason": "stop"}},
    {"config": {"version": VERSION}},
    {"drain": {"reason": "stop", "deadline": 3.5}},
    {"drain_ack": {}},
    {"of_tomorrow": [1, 2]},
    {},
]
ODD: list[Any] = [
    None,
    -1,
    0,
    10**9,
    2**63,
    10**400,
    1e308,
    float("inf"),
    float("nan"),
    True,
    "",
    "x" * 300,
    "\u0000",
    "\ud800",
    "-",
    "web\n",
    "1",
    [],
    {},
    [[]] * 300,
    {"": None},
    [{"name": "web"}] * 2,
]


@st.composite
def twisted(draw: DrawFn, originals: list[dict[str, Any]]) -> bytes:
    """A message with some values replaced, members added or left out, or bytes damaged."""
    message = deepcopy(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(0, 2))):
        place = message
        while place:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            if draw(mostly([False], [True])):
                del place[key]
            else:
                place[key] = deepcopy(draw(st.sampled_from(ODD)))
            break
    text = json.dumps(message).encode()
    return draw(mostly([text], [b"[" * 5000, b"\xff", b"", b"null", text + text, b"\xef\xbb\xbf" + text]))


def messages(originals: list[dict[str, Any]]) -> SearchStrategy[bytes]:
    """Return messages that are almost like these."""
    return twisted(originals) | damaged(twisted(originals))


HELLOS = messages([HELLO])
WELCOMES = messages([WELCOME])
REFUSALS = messages([REFUSAL])
CONTROL = messages(MESSAGES)
