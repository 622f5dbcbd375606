"""The database is locked, full, read-only or gone: traffic flows on, and the API says 503 and why."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.app.postgres import PostgresServer

from .load import Load
from .programs import backplane, eventually
from .stage import Edge, Stage
from .test_management import console, status

Trouble = Callable[[Edge], AbstractContextManager[None]]


@contextmanager
def locked(edge: Edge) -> Iterator[None]:
    """Another program writes, and does not end."""
    other = sqlite3.connect(edge.data_dir / "backplane.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    yield
    other.close()


@contextmanager
def gone(edge: Edge) -> Iterator[None]:
    """The file is moved away."""
    path, aside = edge.data_dir / "backplane.sqlite", edge.data_dir / "aside"
    path.rename(aside)
    yield
    aside.rename(path)


@contextmanager
def full(edge: Edge) -> Iterator[None]:
    """Nothing more goes on the disk."""
    ballast = edge.data_dir / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(bytes(4096))
            except OSError:
                break
    yield
    ballast.unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of a few megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir(mode=0o700)
    command = ("mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "none", str(folder))
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user cannot mount a small disk")
    yield folder
    subprocess.run(("umount", "--lazy", str(folder)), check=True)


def create(api: httpx.Client, number: int) -> httpx.Response:
    """Create a route, large enough not to fit into what is left of the disk anywhere."""
    headers = [{"name": f"x-{one}", "exact": "v" * 1000} for one in range(8)]
    body = {
        "name": f"route-{number}",
        "host": f"h{number}.example",
        "headers": headers,
        "targets": [{"selector": "service=web"}],
    }
    return api.post("/v1/routes", json=body)


def refused(api: httpx.Client, reason: str) -> None:
    """Wait until a write is refused, and see that it is said why. What still goes through is served."""
    numbers = iter(range(10_000))

    def says_so() -> bool:
        answer = create(api, next(numbers))
        if answer.status_code == 201:
            return False
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (503, "database_unavailable"), answer.text
        assert "Retry-After" in answer.headers
        assert any(word in problem["detail"] for word in reason.split("|")), problem["detail"]
        return True

    eventually(says_so, within=30, what=f"a write is refused: {reason}")


def back(api: httpx.Client) -> None:
    """Wait until a write goes through, and is in force."""
    eventually(lambda: create(api, 20_000).status_code in (201, 409), within=30, what="writes go through")


@pytest.mark.parametrize(("trouble", "reason"), [(locked, "database is locked"), (gone, "is gone")])
def test_traffic_flows_while_sqlite_is_locked_or_gone(stage: Stage, trouble: Trouble, reason: str) -> None:
    edge = stage.edge()
    stage.agent(edges=[edge], services={"web": stage.origin("a").url})
    see_through(edge, trouble, reason)


def test_traffic_flows_while_the_disk_is_full(stage: Stage, small_disk: Path) -> None:
    edge = stage.edge(data_dir=small_disk / "data")
    stage.agent(edges=[edge], services={"web": stage.origin("a").url})
    see_through(edge, full, "full")
    edge.stop()


def see_through(edge: Edge, trouble: Trouble, reason: str) -> None:
    """Have trouble come and go under load."""
    with console(edge) as api, Load(edge.public) as load:
        assert create(api, 30_000).status_code in (201, 409)
        load.flows()
        with trouble(edge):
            refused(api, reason)
            load.flows()
            assert api.get("/v1/instances").status_code == 200, "live lists need no database"
        back(api)
        load.flows()
    assert load.failures == [], load
    assert "Traceback" not in edge.stderr


def test_traffic_flows_while_postgresql_is_read_only_or_gone(stage: Stage, server: PostgresServer) -> None:
    url = server.create()
    stage.run("upgrade", [*backplane("db", "upgrade"), "--database-url", url]).exit_code(60)
    edge = stage.edge("edge", "--database-url", url)
    stage.agent(edges=[edge], services={"web": stage.origin("a").url})
    name = url.rpartition("/")[2]

    @contextmanager
    def read_only(edge: Edge) -> Iterator[None]:
        server.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        yield
        server.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        server.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    @contextmanager
    def stopped(edge: Edge) -> Iterator[None]:
        server.stop()
        yield
        server.start()

    see_through(edge, read_only, "read-only|terminat|clos")
    see_through(edge, stopped, "Connect|connect|terminat|shut|clos")


def test_a_control_process_that_is_killed_in_a_write_has_lost_nothing_acknowledged(stage: Stage) -> None:
    edge = stage.edge("edge", "--default-service", "none")
    stage.agent(edges=[edge], services={"web": stage.origin("a").url})
    acknowledged: list[str] = []
    with console(edge) as api:
        for round_ in range(3):
            before = edge.part("app.control")
            while True:
                name = f"route-{round_}-{len(acknowledged)}"
                body = {"name": name, "host": f"{name}.example", "targets": [{"selector": "service=web"}]}
                try:
                    assert api.post("/v1/routes", json=body).status_code == 201
                except httpx.TransportError:
                    break
                acknowledged.append(name)
                if len(acknowledged) % 7 == 6:
                    before.kill()

            def lists() -> set[str]:
                try:
                    answer = api.get("/v1/routes", params={"limit": 1000})
                except httpx.TransportError:
                    return set()
                return {one["name"] for one in answer.json().get("items", ())}

            eventually(lambda: lists() >= set(acknowledged), within=30, what="all that was acknowledged")
        assert status(edge, f"{acknowledged[-1]}.example") == 200
        assert status(edge, f"{acknowledged[0]}.example") == 200
