"""The first SIGTERM lets requests finish; the second does not wait for them."""

from __future__ import annotations

import pytest

from tests.e2e.client import Client, CutShort, request
from tests.e2e.programs import Program, eventually
from tests.e2e.stage import Stage

pytestmark = pytest.mark.e2e

AT_ONCE = 10.0
"""Seconds: a third of what a program waits for requests at a stop."""


@pytest.mark.parametrize("name", ["edge", "agent"])
def test_a_second_sigterm_ends_a_program_that_waits_for_a_request(name: str, stage: Stage) -> None:
    origin = stage.origin()
    edge = stage.edge("edge")
    agent = stage.agent("agent", edges=[edge], services={"web": origin.url})
    program: Program = {"edge": edge, "agent": agent}[name]
    with Client(edge.public) as client:
        client.send(request("/hold/running"))
        eventually(lambda: origin.ask("/hold/running/report"), within=5, what="the app has the request")
        program.terminate()
        eventually(lambda: "draining" in program.stderr, within=5, what="the program is draining")
        assert program.running
        program.terminate()
        assert program.exit_code(AT_ONCE) == 1
        assert "Traceback" not in program.stderr
        assert "stopped at once by a second signal" in program.stderr
        with pytest.raises((CutShort, ConnectionResetError, AssertionError)):
            assert client.read_response().status == 200
