"""SIGKILL at any point of a write loses nothing that was acknowledged, and leaves nothing half done."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Sequence

from sqlalchemy import select

from app.database import Database, DatabaseUrl
from app.database.models import ConfigState, EventRow, RouteRow
from app.management.context import Management, Work
from app.management.credentials import Credentials, Principal, Role
from app.resources.routes.service import RouteService
from app.state import EdgeState
from edge.route import RouteSpec
from tests.app.console import FeedFake, PlanesFake

ROUNDS = 60
MAX_SECONDS = 60.0
"""On a slow machine there are fewer rounds."""
MIN_ROUNDS = 10
MAX_WRITES = 2000


def route(name: str) -> RouteSpec:
    return RouteSpec.model_validate(
        {"name": name, "host": f"{name}.example", "targets": [{"selector": "service=web"}]}
    )


async def write(url: DatabaseUrl, prefix: str, acknowledge: int) -> None:
    """Write routes one after the other, and say of each that is durable which it was."""
    database = Database(url)
    state = EdgeState()
    management = Management(
        database=database,
        credentials=Credentials(),
        state=state,
        feed=FeedFake(),
        planes=PlanesFake(state),
    )
    routes = RouteService(Work(management, Principal("tester", Role.ADMIN), "1"))
    for number in range(MAX_WRITES):
        row = await routes.create(route(f"{prefix}-{number}"))
        os.write(acknowledge, f"{row.name}\n".encode())


def killed_writer(url: DatabaseUrl, prefix: str, delay: float) -> list[str]:
    """Have another process write, kill it `delay` seconds after its first word, and return what it acknowledged."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.close(reading)
            asyncio.run(write(url, prefix, writing))
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    told = os.read(reading, 4096)
    time.sleep(delay)  # not to wait for anything: this is the moment that is tried
    os.kill(pid, signal.SIGKILL)
    while more := os.read(reading, 65536):
        told += more
    os.close(reading)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), f"the writer ended by itself: {told!r}"
    return told.decode().splitlines()


async def check(url: DatabaseUrl, acknowledged: Sequence[str]) -> None:
    """See that all is there and that rows, events and the version agree."""
    database = Database(url)
    try:
        async with database.read() as session:
            names = set((await session.scalars(select(RouteRow.name))).all())
            events = (await session.execute(select(EventRow.n, EventRow.name))).all()
            state = (await session.execute(select(ConfigState))).scalar_one()
    finally:
        await database.close()
    assert names >= set(acknowledged), "an acknowledged write is lost"
    assert names == {name for _, name in events}, "a row and its event are one write"
    assert [n for n, _ in events] == list(range(1, state.n + 1))


def test_a_writer_that_is_killed_loses_nothing_that_it_acknowledged(database_url: DatabaseUrl) -> None:
    async def prepare() -> None:
        database = Database(database_url)
        await database.open(upgrade=True)
        await database.close()

    asyncio.run(prepare())
    chance = random.Random(7)
    began, acknowledged = time.monotonic(), list[str]()
    for round_ in range(ROUNDS):
        if round_ >= MIN_ROUNDS and time.monotonic() - began > MAX_SECONDS:
            break
        acknowledged += killed_writer(database_url, f"r{round_}", chance.uniform(0, 0.02))
        asyncio.run(check(database_url, acknowledged))
    assert len(acknowledged) >= MIN_ROUNDS
