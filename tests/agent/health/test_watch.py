"""What is checked, when, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from agent.health import HealthWatch
from agent.upstream import Service, Upstream, UpstreamError
from agent.upstream.errors import UpstreamRefused, UpstreamTimeout
from h2s.messages import HealthCheck

from ...h2s.edges import serving
from ...h2s.loops import until
from ..conftest import Drive
from ..relay.conftest import Call, Upstream2

QUICK = HealthCheck(interval=1000, retry=0.05, unhealthy=1)
"""Checks a failed upstream soon, and a good one only when there is a reason to."""


class Watched:
    """A service under watch, and how healthy its upstreams were at every change."""

    def __init__(self, *urls: str, check: HealthCheck = QUICK) -> None:
        self.service = Service("web", [Upstream(url) for url in urls])
        self.pools = self.service.pools
        self.changes: list[list[bool]] = []
        self.watch = HealthWatch([self.service], self._on_change, {"web": check})

    def _on_change(self) -> None:
        self.changes.append([pool.healthy for pool in self.pools])

    def fail(self, index: int, error: UpstreamError | None, times: int = 1) -> None:
        """Have requests end like this."""
        for _ in range(times):
            self.pools[index].failed(error)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch, from the first check to the end of the block."""
        task = asyncio.create_task(self.watch.run())
        try:
            await self.watch.first()
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self.service.close()


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


async def nobody() -> int:
    """Return a port on which nobody listens."""
    async with serving(lambda reader, writer: None) as port:
        return port


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for first checks however slow the machine is."""
    monkeypatch.setattr("agent.health.watch.FIRST_TIMEOUT", 60.0)


class App:
    """Counts the requests for its health, and answers them with `status`; with 0 it does not answer."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.heads: list[bytes] = []
        self.left: list[bool] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            if self.status:
                early = b"HTTP/1.1 103 Early Hints\r\n\r\n"
                writer.write(early + b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\nhello" % self.status)
            await reader.read()
        self.left.append(True)
        writer.close()


def test_the_first_check_says_how_each_upstream_is(drive: Drive) -> None:
    async def main() -> None:
        async with serving(lambda reader, writer: None) as port:
            watched = Watched(url(port), url(await nobody()))
            assert [pool.healthy for pool in watched.pools] == [False, False]
            async with watched.running():
                assert [pool.healthy for pool in watched.pools] == [True, False]

    drive(main)


@pytest.mark.parametrize("host", ["a..b", "x" * 64])
def test_a_name_that_is_none_is_an_upstream_that_is_down(drive: Drive, host: str) -> None:
    async def main() -> None:
        watched = Watched(f"http://{host}:80")
        async with watched.running():
            assert not watched.pools[0].healthy

    drive(main)


def test_a_first_check_that_takes_its_time_is_not_waited_for(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.health.watch.FIRST_TIMEOUT", 0.05)

    async def main() -> None:
        app = App(0)
        async with serving(app) as port:
            watched = Watched(url(port), check=HealthCheck(kind="http", timeout=600))
            async with watched.running():
                assert not watched.pools[0].healthy

    drive(main)


def test_an_upstream_that_comes_up_is_told(drive: Drive) -> None:
    async def main() -> None:
        port = await nobody()
        watched = Watched(url(port))
        async with watched.running():
            server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
            await until(lambda: watched.changes)
            assert watched.changes == [[True]]
            server.close()
            await server.wait_closed()

    drive(main)


def test_a_refused_connection_has_the_upstream_checked_at_once(drive: Drive) -> None:
    async def main() -> None:
        async with serving(lambda reader, writer: None) as port:
            watched = Watched(url(port), check=QUICK.model_copy(update={"unhealthy": 2}))
            async with watched.running():
                watched.changes.clear()
                watched.pools[0].upstream = Upstream(url(await nobody()))
                watched.fail(0, UpstreamRefused("refused"))
                await until(lambda: watched.changes)
                assert watched.changes == [[False]]

    drive(main)


def test_a_suspicion_that_is_wrong_changes_nothing(drive: Drive) -> None:
    async def main() -> None:
        connections = 0

        def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1

        async with serving(count) as port:
            watched = Watched(url(port), check=QUICK.model_copy(update={"unhealthy": 2}))
            async with watched.running():
                watched.fail(0, UpstreamRefused("refused"))
                await until(lambda: connections == 2)
                assert watched.pools[0].healthy
            assert watched.changes == [[True]]

    drive(main)


def test_requests_that_fail_in_a_row_take_one_of_several_down_until_a_check_is_good(drive: Drive) -> None:
    async def main() -> None:
        check = HealthCheck(interval=0.1, passive=3)
        async with serving(lambda reader, writer: None) as port:
            watched = Watched(url(port), url(port), check=check)
            async with watched.running():
                watched.changes.clear()
                watched.fail(0, UpstreamTimeout("late"), 2)
                watched.fail(0, None)
                assert watched.changes == [[False, True]]
                await until(lambda: watched.changes == [[False, True], [True, True]])

    drive(main)


def test_requests_that_fail_in_a_row_have_the_last_healthy_one_checked(drive: Drive) -> None:
    async def main() -> None:
        app = App()
        async with serving(app) as port:
            check = HealthCheck(kind="http", interval=1000, retry=0.05, unhealthy=2, passive=3)
            watched = Watched(url(port), check=check)
            async with watched.running():
                watched.fail(0, None, 3)
                assert watched.pools[0].healthy
                await until(lambda: len(app.heads) == 2)
                app.status = 503
                watched.fail(0, None, 3)
                await until(lambda: watched.changes == [[True], [False]])
                assert len(app.heads) == 4

    drive(main)


def test_requests_that_keep_failing_do_not_put_the_next_check_off(drive: Drive) -> None:
    async def main() -> None:
        port = await nobody()
        watched = Watched(url(port))
        async with watched.running():
            server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)

            def suspect_again() -> bool:
                healthy = watched.pools[0].healthy
                watched.fail(0, UpstreamRefused("refused"))
                return healthy

            await until(suspect_again)
            server.close()
            await server.wait_closed()

    drive(main)


def test_each_upstream_is_watched_by_itself(drive: Drive) -> None:
    async def main() -> None:
        port = await nobody()
        async with serving(lambda reader, writer: None) as good:
            watched = Watched(url(good), url(port))
            async with watched.running():
                server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", port)
                await until(lambda: len(watched.changes) == 2)
                assert watched.changes == [[True, False], [True, True]]
                server.close()
                await server.wait_closed()

    drive(main)


def test_http_check_is_a_get_of_its_path_and_its_connection_is_not_kept(drive: Drive) -> None:
    async def main() -> None:
        app = App(204)
        async with serving(app) as port:
            check = HealthCheck(kind="http", path="/healthz?deep=1", expect=["200", "202-204"])
            watched = Watched(url(port), check=check)
            async with watched.running():
                assert watched.pools[0].healthy
                await until(lambda: app.left)
                assert watched.pools[0].connections == 0
            head = b"GET /healthz?deep=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % port
            assert app.heads[0].startswith(head)

    drive(main)


def test_http_check_can_name_another_host(drive: Drive) -> None:
    async def main() -> None:
        app = App()
        async with serving(app) as port:
            watched = Watched(url(port), check=HealthCheck(kind="http", host="shop.example"))
            async with watched.running():
                assert b"\r\nHost: shop.example\r\n" in app.heads[0]

    drive(main)


@pytest.mark.parametrize("status", [500, 404, 0])
def test_http_check_fails_by_another_status_or_none(drive: Drive, status: int) -> None:
    async def main() -> None:
        app = App(status)
        async with serving(app) as port:
            timeout = 60.0 if status else 0.1
            watched = Watched(url(port), check=HealthCheck(kind="http", timeout=timeout))
            async with watched.running():
                assert not watched.pools[0].healthy
                said = f"/ was answered with {status}" if status else "no answer to a check within 0.1 s"
                assert watched.pools[0].reason == said
                await until(lambda: app.left)

    drive(main)


def answer_rubbish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH\r\n")
    writer.close()


def just_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("app", [answer_rubbish, just_close])
def test_http_check_fails_by_what_is_no_answer(
    drive: Drive, app: Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]
) -> None:
    async def main() -> None:
        async with serving(app) as port:
            watched = Watched(url(port), check=HealthCheck(kind="http"))
            async with watched.running():
                assert not watched.pools[0].healthy

    drive(main)


def test_unix_socket_is_checked_like_any_other(drive: Drive, tmp_path: Path) -> None:
    async def main() -> None:
        app = App()
        server = await asyncio.start_unix_server(app, tmp_path / "app.sock")
        watched = Watched(f"unix:{tmp_path}/app.sock", check=HealthCheck(kind="http"))
        async with watched.running():
            assert watched.pools[0].healthy
            assert b"\r\nHost: localhost\r\n" in app.heads[0]
        server.close()
        await server.wait_closed()

    drive(main)


def test_upstream_without_a_check_is_healthy_and_left_alone(drive: Drive) -> None:
    async def main() -> None:
        watched = Watched(url(await nobody()), check=HealthCheck(kind="none"))
        async with watched.running():
            assert watched.pools[0].healthy
            watched.fail(0, UpstreamRefused("refused"), 10)
            assert watched.pools[0].healthy
            assert watched.changes == []

    drive(main)


def test_another_check_takes_effect_at_once(drive: Drive) -> None:
    async def main() -> None:
        app = App(500)
        async with serving(app) as port:
            watched = Watched(url(port))
            async with watched.running():
                assert watched.pools[0].healthy
                watched.watch.configure({"web": QUICK.model_copy(update={"kind": "http"})})
                await until(lambda: watched.changes == [[True], [False]])
                watched.watch.configure({"web": HealthCheck(kind="none")})
                assert watched.changes == [[True], [False], [True]]
                watched.watch.configure({})
                await until(lambda: watched.pools[0].connections == 0)
                assert watched.pools[0].healthy

    drive(main)


@pytest.mark.parametrize(
    ("kind", "status", "good"), [("tcp", 0, True), ("http", 200, True), ("http", 500, False)]
)
def test_upstream_that_speaks_http2_is_asked_in_it(drive: Drive, kind: str, status: int, good: bool) -> None:
    async def main() -> None:
        async with Upstream2(lambda call: call.answer(b"%d" % status)) as app:
            check = HealthCheck.model_validate({"kind": kind, "path": "/up", "host": "shop.example"})
            watched = Watched(app.url, check=check)
            async with watched.running():
                assert watched.pools[0].healthy is good
                await until(lambda: app.lost)
            for call in app.calls:
                assert {(b":path", b"/up"), (b":authority", b"shop.example")} <= set(call.head)

    drive(main)


def test_connection_without_settings_is_no_upstream_that_speaks_http2(drive: Drive) -> None:
    async def main() -> None:
        async with serving(lambda reader, writer: None) as port:
            watched = Watched(f"h2c://127.0.0.1:{port}", check=HealthCheck(timeout=0.1))
            async with watched.running():
                assert not watched.pools[0].healthy

    drive(main)


SERVING = b"\0\0\0\0\x02\x08\x01"
NOT_SERVING = b"\0\0\0\0\x02\x08\x02"


def grpc_answer(call: Call, message: bytes, status: bytes) -> None:
    head = [(b":status", b"200"), (b"content-type", b"application/grpc")]
    if not message:
        call.connection.send_head(call.stream_id, [*head, (b"grpc-status", status)], end_stream=True)
        return
    call.connection.send_head(call.stream_id, head, end_stream=False)
    call.connection.send_data(call.stream_id, message, end_stream=False)
    call.connection.send_trailers(call.stream_id, [(b"grpc-status", status)])


@pytest.mark.parametrize(
    ("message", "status", "good"),
    [
        (SERVING, b"0", True),
        (NOT_SERVING, b"0", False),
        (b"\0\0\0\0\0", b"0", False),
        (SERVING, b"2", False),
        (b"", b"12", False),
    ],
)
def test_grpc_server_is_asked_how_it_is(drive: Drive, message: bytes, status: bytes, good: bool) -> None:
    async def main() -> None:
        async with Upstream2(lambda call: grpc_answer(call, message, status)) as app:
            watched = Watched(app.url, check=HealthCheck(kind="grpc", service="shop.Basket"))
            async with watched.running():
                assert watched.pools[0].healthy is good
                await until(lambda: app.lost)
            call = app.calls[0]
            assert (b":path", b"/grpc.health.v1.Health/Check") in call.head
            assert call.body == b"\0\0\0\0\x0d\x0a\x0bshop.Basket"

    drive(main)


def test_server_that_knows_no_grpc_is_not_serving(drive: Drive) -> None:
    async def main() -> None:
        async with Upstream2(lambda call: call.answer(b"404")) as app, serving(App()) as port:
            for url_ in (app.url, url(port)):
                watched = Watched(url_, check=HealthCheck(kind="grpc"))
                async with watched.running():
                    assert not watched.pools[0].healthy

    drive(main)
