"""A control process run in a thread, between a supervisor and a data plane that are played by the test."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sqlite3
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from app import control
from app.config import EdgeSettings
from backplane.cli.address import Address
from backplane.cli.exit import CommandError, ExitCode
from edge.port import PlaneReady, PortMessage, Start
from edge.seam import Port, plane_port

from .notices import make_counters

LOOPBACK = Address("127.0.0.1", 0)
READY = PlaneReady(public="127.0.0.1:8080", tunnel="127.0.0.1:7443", pid=1)
PATIENCE = 15.0


class Scene:
    """What surrounds a control process: the other ends of its leash and of its seam."""

    def __init__(self, leash: socket.socket) -> None:
        self.leash = leash
        self.plane: Port = plane_port()
        self.received: asyncio.Queue[PortMessage] = asyncio.Queue()
        self.plane.receive = self.received.put_nowait

    def join(self) -> None:
        """Give the control process a new seam to the data plane."""
        ours, theirs = socket.socketpair()
        socket.send_fds(self.leash, [b"seam\n"], [theirs.fileno()])
        theirs.close()
        self.plane.attach(ours)

    def order(self, word: str) -> None:
        self.leash.sendall(f"{word}\n".encode())

    async def up(self) -> dict[str, str]:
        """Have the data plane listen and return what the control process says to that."""
        self.join()
        await asyncio.wait_for(self.received.get(), PATIENCE)
        self.plane.send(READY)
        line = await asyncio.to_thread(self.leash.recv, 65536)
        word, _, text = line.decode().partition(" ")
        assert word == "up"
        addresses: dict[str, str] = json.loads(text)
        return addresses


def play(
    folder: Path, scene: Callable[[Scene], Awaitable[None]], before: Any = None, **changes: Any
) -> int | Exception:
    """Run a control process to its end while `scene` acts; return its exit code or what it raised."""
    values: dict[str, Any] = {
        "data_dir": folder / "data",
        "public": LOOPBACK,
        "tunnel": LOOPBACK,
        "api": LOOPBACK,
    }
    settings = EdgeSettings(**(values | changes))
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    begin = {"settings": settings.model_dump(mode="json"), "before": before}
    ours.sendall(f"begin {json.dumps(begin)}\n".encode())

    def run() -> int | Exception:
        sys.argv = ["control", str(theirs.detach())]
        try:
            return control.main()
        except Exception as error:
            return error

    async def main() -> int | Exception:
        running = asyncio.create_task(asyncio.to_thread(run))
        surroundings = Scene(ours)
        acting = asyncio.ensure_future(scene(surroundings))
        await asyncio.wait((running, acting), return_when=asyncio.FIRST_COMPLETED)
        if not acting.done():
            await asyncio.wait((acting,), timeout=1.0)
        if not acting.done():
            acting.cancel()
            ours.close()
            raise AssertionError(f"the control process has ended: {running.result()!r}")
        try:
            acting.result()
        except BaseException:
            ours.close()
            raise
        code = await asyncio.wait_for(running, PATIENCE)
        surroundings.plane.detach()
        ours.close()
        return code

    return asyncio.run(main())


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "configure_logs", lambda level, log_format: None)
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(control, "log", structlog.wrap_logger(None, [_drop]))


def _drop(logger: Any, method: str, event: Any) -> Any:
    raise structlog.DropEvent


async def ask(addresses: dict[str, str], path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(f"http://{addresses['api']}{path}", headers=headers)


def test_it_says_what_to_serve_and_stops_when_the_data_plane_has(tmp_path: Path) -> None:
    async def scene(one: Scene) -> None:
        up = await one.up()
        assert (up["public"], up["tunnel"]) == (READY.public, READY.tunnel)
        assert (await ask(up, "/readyz")).status_code == 200
        one.order("stop")
        while (await ask(up, "/readyz")).status_code != 503:
            pass
        one.plane.detach()

    assert play(tmp_path, scene) == ExitCode.OK


def test_the_api_is_closed_without_a_token_and_knows_the_first_one(tmp_path: Path) -> None:
    codes = []

    async def scene(one: Scene) -> None:
        up = await one.up()
        token = (tmp_path / "data" / "admin-token").read_text().strip()
        for headers in ({}, {"Authorization": f"Bearer {token}"}):
            for path in ("/metrics", "/v1/routes"):
                codes.append((await ask(up, path, headers)).status_code)
        one.order("stop")
        one.plane.detach()

    assert play(tmp_path, scene) == ExitCode.OK
    assert codes == [401, 401, 200, 200]


def test_it_starts_and_answers_without_its_database(tmp_path: Path) -> None:
    async def scene(one: Scene) -> None:
        up = await one.up()
        token = (tmp_path / "data" / "admin-token").read_text().strip()
        answer = await ask(up, "/v1/routes", {"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert (await ask(up, "/readyz")).status_code == 200
        one.order("stop")
        one.plane.detach()

    database = "postgresql://nobody@127.0.0.1:1/none"
    assert play(tmp_path, scene, database_url=database) == ExitCode.OK


def test_it_does_not_start_on_another_programs_database(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    with sqlite3.connect(tmp_path / "data" / "backplane.sqlite") as database:
        database.execute("CREATE TABLE somebody_elses (id INTEGER)")
    database.close()

    async def scene(one: Scene) -> None:
        assert await asyncio.to_thread(is_over, one.leash)

    ended = play(tmp_path, scene)
    assert isinstance(ended, CommandError)
    assert "belongs to another program" in str(ended)


def is_over(leash: socket.socket) -> bool:
    """Wait for the other end of a leash to say something or end; return whether it has ended."""
    return leash.recv(65536) == b""


def test_uvicorns_own_news_are_kept_out_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(one: Scene) -> None:
        await one.up()
        one.order("stop")
        one.plane.detach()

    with caplog.at_level(logging.INFO):
        play(tmp_path, scene)
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


def test_a_data_plane_is_told_everything_each_time_one_comes(tmp_path: Path) -> None:
    async def scene(one: Scene) -> None:
        one.join()
        first = await one.received.get()
        assert isinstance(first, Start)
        assert (first.public, first.snapshot.domain) == (("127.0.0.1", 0), "example.test")
        one.plane.send(READY)
        one.plane.send(make_counters())
        one.join()
        second = await one.received.get()
        assert isinstance(second, Start)
        assert second.snapshot == first.snapshot
        one.order("stop")
        one.plane.detach()

    assert play(tmp_path, scene, domain="example.test") == ExitCode.OK


def test_one_that_comes_later_listens_where_the_one_before_did(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        api = Address(*free.getsockname())
    before = {"public": "127.0.0.1:8081", "tunnel": "127.0.0.1:7444", "api": str(api)}

    async def scene(one: Scene) -> None:
        one.join()
        start = await one.received.get()
        assert isinstance(start, Start)
        assert (start.public, start.tunnel) == (("127.0.0.1", 8081), ("127.0.0.1", 7444))
        assert (await ask({"api": str(api)}, "/healthz")).status_code == 200
        one.order("stop")
        one.plane.detach()

    assert play(tmp_path, scene, before) == ExitCode.OK


def test_told_to_stop_before_there_is_a_data_plane_it_stops(tmp_path: Path) -> None:
    async def scene(one: Scene) -> None:
        one.order("stop")

    assert play(tmp_path, scene) == ExitCode.OK


@pytest.mark.parametrize("end", ["now", "the end of the leash"])
def test_it_ends_at_once_when_told_or_left_alone(tmp_path: Path, end: str) -> None:
    async def scene(one: Scene) -> None:
        await one.up()
        if end == "now":
            one.order("now")
        else:
            one.leash.shutdown(socket.SHUT_RDWR)

    assert play(tmp_path, scene) == ExitCode.FAILURE


@pytest.mark.parametrize("error", [None, RuntimeError("out of luck")])
def test_one_whose_api_dies_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    dying = threading.Event()

    async def serve(self: Any, sockets: Any = None) -> None:
        await asyncio.to_thread(dying.wait, PATIENCE)
        if error is not None:
            raise error

    monkeypatch.setattr(control.ApiServer, "serve", serve)

    async def scene(one: Scene) -> None:
        await one.up()
        dying.set()

    ended = play(tmp_path, scene)
    assert isinstance(ended, CommandError if error is None else RuntimeError)
