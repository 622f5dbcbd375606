"""How the agent's process ends: its exit codes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config import AgentSettings
from agent.main import run
from backplane.cli.exit import CommandError, ExitCode
from h2s.messages import DrainAck, EdgeMessage
from h2s.token import JoinToken

from ..h2s.edges import Edge
from ..h2s.loops import until
from ..h2s.said import REFUSAL
from ..h2s.trust import Trust
from .conftest import MakeSettings

NOBODY = 9
"""A port for an app that is not needed."""


@contextmanager
def edge_in_a_thread(trust: Trust, edge: Edge, then: Callable[[Edge], object] | None = None) -> Iterator[int]:
    """Run an edge beside the agent, which needs the main thread for its signals; give its port."""
    started, over = threading.Event(), threading.Event()
    context = trust.edge()

    async def main() -> None:
        async with edge.serving(context):
            started.set()
            if then is not None:
                answer = then(edge)
                assert asyncio.iscoroutine(answer)
                await answer
            await until(over.is_set, within=30.0)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    try:
        assert started.wait(10)
        yield edge.port
    finally:
        over.set()
        thread.join()


def failure(settings: AgentSettings) -> tuple[ExitCode, str]:
    """Run an agent that fails; return how."""
    with pytest.raises(CommandError) as raised:
        run(settings)
    return raised.value.exit_code, str(raised.value)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_agent_and_that_is_no_failure(
    trust: Trust, make_settings: MakeSettings, number: signal.Signals
) -> None:
    async def stop(edge: Edge) -> None:
        tunnel = await edge.tunnel()
        os.kill(os.getpid(), number)
        await until(lambda: tunnel.is_draining)
        tunnel.say(EdgeMessage(drain_ack=DrainAck()))

    with edge_in_a_thread(trust, Edge(), stop) as port:
        assert run(make_settings([port], NOBODY)) is ExitCode.OK


def test_a_refusal_for_good_is_refused(trust: Trust, make_settings: MakeSettings) -> None:
    edge = Edge()
    edge.decide = lambda hello: REFUSAL.model_copy(update={"permanent": True, "detail": "Not you."})
    with edge_in_a_thread(trust, edge) as port:
        code, message = failure(make_settings([port], NOBODY))
    assert (code, message) == (ExitCode.REFUSED, f"edge 127.0.0.1:{port}: Not you.")


def test_an_edge_of_another_ca_is_a_matter_of_trust(
    trust: Trust, make_settings: MakeSettings, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with edge_in_a_thread(Trust(other), Edge()) as port:
        code, message = failure(make_settings([port], NOBODY))
    assert code is ExitCode.TRUST
    assert f"127.0.0.1:{port}" in message


def test_an_address_in_use_is_unavailable(make_settings: MakeSettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, message = failure(make_settings([NOBODY], NOBODY, admin=address))
    assert code is ExitCode.UNAVAILABLE
    assert address in message


def test_a_token_with_a_damaged_certificate_is_a_matter_of_trust(
    trust: Trust, make_settings: MakeSettings, tmp_path: Path
) -> None:
    der = bytearray(trust.token.ca_der)
    der[10:40] = bytes(30)
    token: JoinToken = replace(trust.token, ca_der=bytes(der))
    (tmp_path / "token").write_text(token.encode())
    code, message = failure(make_settings([NOBODY], NOBODY))
    assert code is ExitCode.TRUST
    assert "damaged" in message


def test_settings_that_no_edge_would_take_are_a_matter_of_usage(make_settings: MakeSettings) -> None:
    labels = [f"key-{n}=v" for n in range(65)]
    code, message = failure(make_settings([NOBODY], NOBODY, labels=labels))
    assert code is ExitCode.USAGE
    assert "labels" in message
