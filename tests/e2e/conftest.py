"""What the end-to-end tests share.

Tests of what passes *through* share one `site`: an origin behind an agent that dials two edges, one with plain HTTP
and one with TLS. Tests that stop, kill or misconfigure something set their own `stage`.

With `E2E_TARGET=direct` in the environment the plain side of the site is the origin itself, without anything between:
a test that fails there is wrong about HTTP, or about the origin. What only an edge can do is skipped then.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.app.postgres import PostgresServer, find_postgres

from .address import Address
from .certificate import Certificate
from .programs import Origin
from .stage import Agent, Edge, Stage

DIRECT = os.environ.get("E2E_TARGET") == "direct"


@dataclass(frozen=True, slots=True)
class Site:
    """Where clients go without TLS, and the application that answers."""

    address: Address
    origin: Origin


@dataclass(frozen=True, slots=True)
class Tunnelled:
    """The programs behind the shared site."""

    origin: Origin
    agent: Agent
    plain: Edge
    secure: Edge
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Secure:
    """Where clients go with TLS, and what they have to trust."""

    address: Address
    origin: Origin
    certificate: Certificate

    @property
    def url(self) -> str:
        """The base of URLs that match the certificate."""
        return f"https://web.localhost:{self.address.port}"


@pytest.fixture(scope="session")
def shared_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage for the whole run."""
    with Stage.at(tmp_path_factory.mktemp("site")) as stage:
        yield stage


@pytest.fixture(scope="session")
def shared_origin(shared_stage: Stage) -> Origin:
    """The application behind the shared site."""
    return shared_stage.origin()


@pytest.fixture(scope="session")
def tunnelled(shared_stage: Stage, shared_origin: Origin) -> Tunnelled:
    """An agent, and the two edges it dials."""
    if DIRECT:
        pytest.skip("needs an edge")
    certificate = Certificate.make(shared_stage.folder)
    identity = shared_stage.folder / "plain-data"
    plain = shared_stage.edge("plain", data_dir=identity)
    secure = shared_stage.edge("secure", "--identity-dir", identity, certificate=certificate)
    agent = shared_stage.agent(edges=[plain, secure], services={"web": shared_origin.url})
    return Tunnelled(shared_origin, agent, plain, secure, certificate)


@pytest.fixture(scope="session")
def site(shared_origin: Origin, request: pytest.FixtureRequest) -> Site:
    """The shared site over plain HTTP, or the origin itself in a direct run."""
    if DIRECT:
        return Site(shared_origin.address, shared_origin)
    tunnelled: Tunnelled = request.getfixturevalue("tunnelled")
    return Site(tunnelled.plain.public, shared_origin)


@pytest.fixture(scope="session")
def secure(tunnelled: Tunnelled) -> Secure:
    """The shared site over TLS."""
    return Secure(tunnelled.secure.public, tunnelled.origin, tunnelled.certificate)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A stage for one test, in which it can break what it likes."""
    if DIRECT:
        pytest.skip("needs an edge")
    with Stage.at(tmp_path) as stage:
        yield stage


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Find a client program; its absence skips the test, and fails it where CI=true promises that it is there."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None:
            missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            missing(f"{name} is not installed")
        assert path is not None
        return path

    return find


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that a test may stop."""
    programs = find_postgres()
    if programs is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("PostgreSQL is not installed")
    assert programs is not None
    with PostgresServer.at(programs) as server:
        yield server
