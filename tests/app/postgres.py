"""A PostgreSQL server of the tests' own: Debian's programs, a temporary directory, loopback, and never as root."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

__all__ = ["PostgresServer", "find_postgres"]

PATIENCE = 30.0
DEBIAN = Path("/usr/lib/postgresql")


def find_postgres() -> Path | None:
    """Return the folder with `initdb` and `postgres`, the newest there is."""
    folders = (
        sorted(DEBIAN.glob("*/bin"), key=lambda path: path.parent.name.zfill(4)) if DEBIAN.exists() else []
    )
    for folder in reversed(folders):
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class PostgresServer:
    """A server that runs until `stop`; every test gets a database of its own."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self.folder = folder
        self.data = folder / "data"
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user is not None:
            owner = pwd.getpwnam(self._user)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._run(
            "initdb", "-D", self.data, "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"
        )
        self.start()

    @classmethod
    @contextmanager
    def at(cls, programs: Path) -> Iterator[PostgresServer]:
        """Give a running server, and clear it away afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="backplane-postgres-"))
        server = None
        try:
            server = cls(programs, folder)
            yield server
        finally:
            if server is not None:
                server.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def start(self) -> None:
        """Start it (again), and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(str(self._programs / "postgres"), "-D", str(self.data), "-p", str(self.port)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
                    *("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"),
                    *("-c", "shared_buffers=32MB", "-c", "max_connections=60"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self.folder,
            )
        asyncio.run(self._wait())

    def stop(self) -> None:
        """End it, and every connection to it."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE)

    def url(self, database: str) -> str:
        """Return a database's URL."""
        return f"postgresql://tester@127.0.0.1:{self.port}/{database}"

    def create(self, *, template: str = "template0") -> str:
        """Make a database, empty or a copy of `template`, and return its URL."""
        name = f"t{uuid.uuid4().hex}"
        asyncio.run(self._execute(f"CREATE DATABASE {name} TEMPLATE {template}"))
        return self.url(name)

    def execute(self, statement: str) -> None:
        """Do something as the server's owner."""
        asyncio.run(self._execute(statement))

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url("postgres"), timeout=PATIENCE)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while True:
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "log").read_text(errors="replace")[-3000:]
            try:
                connection = await asyncpg.connect(self.url("postgres"), timeout=PATIENCE)
            except (OSError, asyncpg.PostgresError):
                assert loop.time() < deadline, "the server does not answer"
                await asyncio.sleep(0.02)
            else:
                await connection.close()
                return

    def _run(self, program: str, *arguments: object) -> None:
        subprocess.run(
            [str(self._programs / program), *map(str, arguments)],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            user=self._user,
            cwd=self.folder,
            timeout=PATIENCE,
        )
