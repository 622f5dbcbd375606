from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from app import main
from app.config import EdgeSettings
from app.main import run
from backplane.cli.address import Address
from backplane.cli.exit import CommandError, ExitCode

LOOPBACK = Address("127.0.0.1", 0)
PATIENCE = 15.0


def make_settings(folder: Path, **changes: Any) -> EdgeSettings:
    values: dict[str, Any] = {
        "data_dir": folder / "data",
        "public": LOOPBACK,
        "tunnel": LOOPBACK,
        "api": LOOPBACK,
        "access_log": "none",
        "drain_timeout": 1.0,
    }
    return EdgeSettings(**(values | changes))


def run_until(settings: EdgeSettings, act: Callable[[dict[str, str]], None]) -> int:
    """Run an edge here; once it is up, call `act` in a thread with what it says of itself."""
    threads = []

    def capture(logger: Any, method: str, event: dict[str, Any]) -> Any:
        if event["event"] == "edge is up":
            thread = threading.Thread(target=act, args=(event,))
            threads.append(thread)
            thread.start()
        raise structlog.DropEvent

    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    structlog.configure(processors=[capture], cache_logger_on_first_use=False)
    try:
        return run(settings)
    finally:
        structlog.reset_defaults()
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)
        for thread in threads:
            thread.join()


def terminate(up: dict[str, str]) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_an_edge_stops_when_asked_and_lets_go_of_its_addresses(tmp_path: Path) -> None:
    seen = []

    def act(up: dict[str, str]) -> None:
        seen.append(httpx.get(f"{up['api']}/readyz", trust_env=False).status_code)
        seen.append(httpx.get(up["public"], trust_env=False).status_code)
        seen.append(Address.parse(up["public"].removeprefix("http://")))
        terminate(up)

    assert run_until(make_settings(tmp_path), act) == ExitCode.OK
    ready, answered, public = seen
    assert (ready, answered) == (200, 404)
    socket.create_server((public.host, public.port)).close()


@pytest.mark.parametrize("listener", ["public", "tunnel", "api"])
def test_an_address_in_use_is_named(tmp_path: Path, listener: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address(*taken.getsockname())
        with pytest.raises(CommandError) as caught:
            run_until(make_settings(tmp_path, **{listener: address}), terminate)
    assert str(caught.value) == f"cannot listen on --{listener} {address}: Address already in use"
    assert caught.value.exit_code is ExitCode.UNAVAILABLE


def test_the_api_is_closed_without_a_token_and_knows_the_first_one(tmp_path: Path) -> None:
    codes = []

    def act(up: dict[str, str]) -> None:
        token = (tmp_path / "data" / "admin-token").read_text().strip()
        for headers in ({}, {"Authorization": f"Bearer {token}"}):
            for path in ("/metrics", "/v1/routes"):
                codes.append(httpx.get(up["api"] + path, headers=headers, trust_env=False).status_code)
        terminate(up)

    assert run_until(make_settings(tmp_path), act) == ExitCode.OK
    assert codes == [401, 401, 200, 200]


def test_an_edge_starts_and_serves_without_its_database(tmp_path: Path) -> None:
    codes = []

    def act(up: dict[str, str]) -> None:
        token = (tmp_path / "data" / "admin-token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx.get(f"{up['api']}/v1/routes", headers=headers, trust_env=False)
        codes.append((answer.status_code, answer.json()["code"]))
        codes.append((httpx.get(f"{up['api']}/readyz", trust_env=False).status_code, ""))
        codes.append((httpx.get(up["public"], trust_env=False).status_code, ""))
        terminate(up)

    settings = make_settings(tmp_path, database_url="postgresql://nobody@127.0.0.1:1/none")
    assert run_until(settings, act) == ExitCode.OK
    assert codes == [(503, "database_unavailable"), (200, ""), (404, "")]


def test_an_edge_does_not_start_on_another_programs_database(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    settings.data_dir.mkdir(mode=0o700)
    with sqlite3.connect(settings.data_dir / "backplane.sqlite") as database:
        database.execute("CREATE TABLE somebody_elses (id INTEGER)")
    database.close()
    with pytest.raises(CommandError, match="belongs to another program"):
        run_until(settings, terminate)


def test_a_second_signal_ends_an_edge_that_drains(tmp_path: Path) -> None:
    def act(up: dict[str, str]) -> None:
        address = Address.parse(up["public"].removeprefix("http://"))
        with socket.create_connection((address.host, address.port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\n")
            terminate(up)
            deadline = time.monotonic() + PATIENCE
            while httpx.get(f"{up['api']}/readyz", trust_env=False).status_code != 503:
                assert time.monotonic() < deadline
            terminate(up)

    with pytest.raises(CommandError, match="second signal"):
        run_until(make_settings(tmp_path, drain_timeout=600.0), act)


@pytest.mark.parametrize("error", [None, RuntimeError("out of luck")])
def test_an_edge_whose_api_dies_drains_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    up = threading.Event()

    async def serve(self: Any, sockets: Any = None) -> None:
        await asyncio.to_thread(up.wait, PATIENCE)
        if error is not None:
            raise error

    monkeypatch.setattr(main._ApiServer, "serve", serve)
    with pytest.raises(CommandError if error is None else RuntimeError):
        run_until(make_settings(tmp_path), lambda _: up.set())


def test_an_access_log_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        run(make_settings(tmp_path, access_log=str(tmp_path / "no" / "log")))
    assert str(tmp_path / "no" / "log") in str(caught.value)
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_data_directory_in_use_is_unavailable(tmp_path: Path) -> None:
    failed = []

    def act(up: dict[str, str]) -> None:
        try:
            run(make_settings(tmp_path))
        except CommandError as error:
            failed.append(error.exit_code)
        terminate(up)

    assert run_until(make_settings(tmp_path), act) == ExitCode.OK
    assert failed == [ExitCode.UNAVAILABLE]


def test_uvicorns_own_news_are_kept_out_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        run_until(make_settings(tmp_path), terminate)
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []
