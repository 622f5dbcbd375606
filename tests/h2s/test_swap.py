"""The law of the handshake against an independent copy: every state, every input, both roles."""

from __future__ import annotations

import itertools

import pytest

from h2s.engine import Role
from h2s.errors import ErrorCode, RemoteProtocolError
from h2s.swap import Input, State, Swap

LEGAL = {
    Role.CLIENT: """
        GREETING     SETTINGS  REGISTERING
        REGISTERING  FRAME     REGISTERING
        REGISTERING  WELCOME   WELCOMED
        REGISTERING  REFUSAL   REFUSED
        WELCOMED     FRAME     WELCOMED
        WELCOMED     SWAP      SILENT
        SILENT       PHASE_2   SWAPPED
        REFUSED      FRAME     REFUSED
    """,
    Role.SERVER: """
        GREETING     SETTINGS  REGISTERING
        REGISTERING  FRAME     REGISTERING
        REGISTERING  HELLO     DECIDING
        REGISTERING  REFUSE    REFUSED
        DECIDING     FRAME     DECIDING
        DECIDING     ACCEPT    SWAPPING
        DECIDING     REFUSE    REFUSED
        SWAPPING     FRAME     SWAPPING
        SWAPPING     SWAP      SWAPPED
        REFUSED      FRAME     REFUSED
    """,
}


def expected(role: Role) -> dict[tuple[State, Input], State]:
    """Read the table above."""
    rows = [line.split() for line in LEGAL[role].strip().splitlines()]
    return {(State[before], Input[given]): State[after] for before, given, after in rows}


def at(role: Role, state: State) -> Swap:
    """Return a machine in that state, whether the role can get there or not."""
    swap = Swap(role)
    swap.state = state
    return swap


@pytest.mark.parametrize("given", Input)
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("role", Role)
def test_a_step_is_legal_or_a_protocol_error_that_changes_nothing(
    role: Role, state: State, given: Input
) -> None:
    swap = at(role, state)
    after = expected(role).get((state, given))
    if after is not None:
        swap.move(given)
        assert swap.state is after
        return
    with pytest.raises(RemoteProtocolError) as raised:
        swap.move(given)
    assert raised.value.code == ErrorCode.PROTOCOL_ERROR
    assert swap.state is state


@pytest.mark.parametrize("role", Role)
def test_every_handshake_begins_with_the_greeting(role: Role) -> None:
    assert Swap(role).state is State.GREETING


@pytest.mark.parametrize("role", Role)
def test_nothing_leads_out_of_an_end(role: Role) -> None:
    for state, given in itertools.product((State.SWAPPED, State.REFUSED), Input):
        assert expected(role).get((state, given), state) is state
