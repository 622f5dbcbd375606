"""An agent connects to the edge that its token speaks of, or ends with one line that says why not."""

from __future__ import annotations

import secrets
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .address import Address, free_address
from .certificate import Certificate
from .client import Client, request
from .programs import Program, backplane
from .stage import Edge, Stage

pytestmark = pytest.mark.e2e

TRUST = 3
REFUSED = 4


def start_agent(stage: Stage, edge: Address, token_file: Path) -> Program:
    """Start an agent that has no reason to succeed."""
    options = ("--edge", edge, "--token-file", token_file, "--service", "web=http://127.0.0.1:9")
    return stage.run("agent", backplane("agent", *options))


def error_of(program: Program, code: int) -> str:
    """Wait for the program's end and return its one line of error."""
    assert program.exit_code() == code, program.stderr
    errors = [line for line in program.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, program.stderr
    assert "Traceback" not in program.stderr
    return errors[0]


@contextmanager
def tls_server(certificate: Path, key: Path, *protocols: str) -> Iterator[Address]:
    """Accept TLS connections with a certificate, select one of `protocols`, and say nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    address = free_address()
    with socket.create_server(address) as listener:
        thread = threading.Thread(target=accept, args=(listener, context))
        thread.start()
        try:
            yield address
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def accept(listener: socket.socket, context: ssl.SSLContext) -> None:
    """Shake hands with each client and wait until it leaves."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(10)
            try:
                with context.wrap_socket(connection, server_side=True) as secured:
                    secured.recv(1)
            except OSError:
                continue


@pytest.fixture
def edge(stage: Stage) -> Edge:
    """An edge that could be the right one."""
    return stage.edge()


def test_a_token_with_a_wrong_secret_is_refused_for_good(stage: Stage, edge: Edge) -> None:
    prefix, authority, _ = edge.token_file.read_text().strip().split(".")
    token = stage.folder / "wrong-secret"
    token.write_text(f"{prefix}.{authority}.{secrets.token_urlsafe(32)}\n")
    assert "token" in error_of(start_agent(stage, edge.tunnel, token), REFUSED)


def test_a_refused_secret_is_shown_nowhere(stage: Stage, edge: Edge) -> None:
    prefix, authority, _ = edge.token_file.read_text().strip().split(".")
    secret = secrets.token_urlsafe(32)
    token = stage.folder / "wrong-secret"
    token.write_text(f"{prefix}.{authority}.{secret}\n")
    agent = start_agent(stage, edge.tunnel, token)
    error_of(agent, REFUSED)
    assert secret not in agent.stdout + agent.stderr + edge.stdout + edge.stderr


def test_an_edge_of_another_authority_is_not_trusted(stage: Stage, edge: Edge) -> None:
    other = stage.edge("other")
    message = error_of(start_agent(stage, edge.tunnel, other.token_file), TRUST)
    assert str(edge.tunnel) in message
    assert "certificate" in message.lower()


def test_a_tls_server_that_is_no_edge_is_not_trusted(stage: Stage, edge: Edge) -> None:
    public = Certificate.make(stage.folder)
    with tls_server(public.chain, public.key, "h2", "http/1.1") as address:
        message = error_of(start_agent(stage, address, edge.token_file), TRUST)
    assert str(address) in message


@pytest.mark.parametrize("protocols", [(), ("h2", "http/1.1")])
def test_a_trusted_server_that_does_not_select_h2s_is_left(
    stage: Stage, edge: Edge, protocols: tuple[str, ...]
) -> None:
    with tls_server(edge.data_dir / "edge.crt", edge.data_dir / "edge.key", *protocols) as address:
        message = error_of(start_agent(stage, address, edge.token_file), TRUST)
    assert str(address) in message
    assert "h2s" in message


@pytest.mark.parametrize("port", ["public", "api"])
def test_a_port_without_tls_is_not_an_edge(stage: Stage, edge: Edge, port: str) -> None:
    address: Address = getattr(edge, port)
    message = error_of(start_agent(stage, address, edge.token_file), TRUST)
    assert str(address) in message
    assert "TLS" in message


def test_the_tunnel_port_answers_no_http(edge: Edge) -> None:
    with Client(edge.tunnel) as client:
        client.send(request("/"))
        assert not client.received_until_the_end().startswith(b"HTTP/")


def test_a_file_that_holds_no_token_is_named(stage: Stage, edge: Edge) -> None:
    token = stage.folder / "not-a-token"
    token.write_text("hunter2\n")
    message = error_of(start_agent(stage, edge.tunnel, token), TRUST)
    assert str(token) in message
    assert "hunter2" not in message
