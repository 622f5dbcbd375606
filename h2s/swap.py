"""The law of the handshake: which step may follow which, one table for both roles.

    agent (client)                                          edge (server)
    preface, SETTINGS(h2s 1-1)  ──────────────────────────▶
                                ◀──────────────────────────  SETTINGS(h2s 1-1)
    POST Register, Hello        ──────────────────────────▶
                                ◀──────────────────────────  200, Welcome
                                ◀──────────────────────────  SWAP    from here the edge is silent
    SWAP                        ──────────────────────────▶          from here the agent is silent
    ═══ phase 2: fresh connection, edge = client ═══════════
                                ◀──────────────────────────  preface, SETTINGS
    SETTINGS                    ──────────────────────────▶

A move that is not in `MOVES` is a protocol error. `h2s.handshake` applies the law to bytes.
"""

from __future__ import annotations

from enum import Enum

from .engine import Role
from .errors import RemoteProtocolError

__all__ = ["AGENT", "EDGE", "MOVES", "Input", "State", "Swap"]


class State(Enum):
    """Where a handshake stands."""

    GREETING = "greeting"
    """Waiting for the peer's first SETTINGS."""
    REGISTERING = "registering"
    """Agent: Hello sent. Edge: waiting for Hello."""
    DECIDING = "deciding"
    """Edge: Hello is here, the answer is not given."""
    WELCOMED = "welcomed"
    """Agent: Welcome is here, SWAP is not."""
    SWAPPING = "swapping"
    """Edge: SWAP sent; whatever comes before the agent's SWAP is ignored."""
    SILENT = "silent"
    """Agent: SWAP sent; nothing is written until the first byte of phase 2."""
    SWAPPED = "swapped"
    """Phase 2."""
    REFUSED = "refused"
    """Edge: said no. Agent: heard no."""


class Input(Enum):
    """What can happen to a handshake."""

    SETTINGS = "first SETTINGS"
    HELLO = "Hello"
    WELCOME = "Welcome"
    REFUSAL = "refusal"
    ACCEPT = "the decision to accept"
    REFUSE = "the decision to refuse"
    SWAP = "SWAP"
    FRAME = "another frame"
    PHASE_2 = "bytes of phase 2"


AGENT, EDGE = Role.CLIENT, Role.SERVER

MOVES: dict[tuple[Role, State, Input], State] = {
    (AGENT, State.GREETING, Input.SETTINGS): State.REGISTERING,
    (AGENT, State.REGISTERING, Input.FRAME): State.REGISTERING,
    (AGENT, State.REGISTERING, Input.WELCOME): State.WELCOMED,
    (AGENT, State.REGISTERING, Input.REFUSAL): State.REFUSED,
    (AGENT, State.WELCOMED, Input.FRAME): State.WELCOMED,
    (AGENT, State.WELCOMED, Input.SWAP): State.SILENT,
    (AGENT, State.SILENT, Input.PHASE_2): State.SWAPPED,
    (AGENT, State.REFUSED, Input.FRAME): State.REFUSED,
    (EDGE, State.GREETING, Input.SETTINGS): State.REGISTERING,
    (EDGE, State.REGISTERING, Input.FRAME): State.REGISTERING,
    (EDGE, State.REGISTERING, Input.HELLO): State.DECIDING,
    (EDGE, State.REGISTERING, Input.REFUSE): State.REFUSED,
    (EDGE, State.DECIDING, Input.FRAME): State.DECIDING,
    (EDGE, State.DECIDING, Input.ACCEPT): State.SWAPPING,
    (EDGE, State.DECIDING, Input.REFUSE): State.REFUSED,
    (EDGE, State.SWAPPING, Input.FRAME): State.SWAPPING,
    (EDGE, State.SWAPPING, Input.SWAP): State.SWAPPED,
    (EDGE, State.REFUSED, Input.FRAME): State.REFUSED,
}
"""Every legal move. What is not here is a protocol error."""


class Swap:
    """The state machine of one handshake."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.state = State.GREETING

    def move(self, given: Input) -> None:
        """Take a step. Raises RemoteProtocolError when it may not happen now."""
        after = MOVES.get((self.role, self.state, given))
        if after is None:
            raise RemoteProtocolError(f"{given.value} while {self.state.value}")
        self.state = after
