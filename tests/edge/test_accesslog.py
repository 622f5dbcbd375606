from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import accesslog
from edge.accesslog import AccessLog, _human_line, _json_line

from .agents import eventually
from .fakes import make_request

FORGERIES = [
    b'/"',
    b"/\\",
    b"/\r\n{}",
    b"/\x00\x1b[31m",
    b"/\xff\xed\xa0\x80",
    b"/\xe2\x80\xa8\xc2\x85",
    b'","status":200,"x":"',
]


def finished(**changes: Any) -> Any:
    """Return what the log looks at of a finished exchange."""
    values: dict[str, Any] = {
        "request": make_request(**changes.pop("request", {})),
        "request_id": b"ab-1",
        "status": 200,
        "bytes_in": 1,
        "bytes_out": 2,
        "error": "",
        "retries": 0,
        "service_name": "web",
        "instance": SimpleNamespace(agent=SimpleNamespace(agent_id="a")),
        "upstream_time": 0.0125,
    }
    return SimpleNamespace(**(values | changes))


def test_a_json_line_says_what_happened() -> None:
    line = json.loads(_json_line(finished(), 0.02))
    assert line.pop("time").endswith("Z")
    assert line == {
        "event": "request",
        "method": "GET",
        "host": "web.localhost",
        "path": "/",
        "status": 200,
        "bytes_in": 1,
        "bytes_out": 2,
        "duration_ms": 20.0,
        "upstream_ms": 12.5,
        "service": "web",
        "instance": "a",
        "client": "192.0.2.7",
        "protocol": "HTTP/1.1",
        "retries": 0,
        "request_id": "ab-1",
    }


def test_what_is_not_known_is_null() -> None:
    line = json.loads(
        _json_line(finished(service_name="", instance=None, upstream_time=None, error="no_route"), 0.0)
    )
    assert (line["service"], line["instance"], line["upstream_ms"], line["error"]) == (
        None,
        None,
        None,
        "no_route",
    )


@given(st.one_of(st.binary(), st.sampled_from(FORGERIES)), st.text())
def test_any_bytes_make_one_valid_line_and_change_no_other_field(data: bytes, error: str) -> None:
    exchange = finished(request={"path": data, "method": data, "authority": data}, error=error)
    line = _json_line(exchange, 0.0)
    assert line.isascii()
    assert line.count("\n") == 1
    read = json.loads(line)
    assert (read["status"], read["client"]) == (200, "192.0.2.7")
    assert read["path"] == data.decode("utf-8", "backslashreplace")


@given(st.one_of(st.binary(), st.sampled_from(FORGERIES)), st.text())
def test_any_bytes_make_one_line_that_a_terminal_can_show(data: bytes, error: str) -> None:
    line = _human_line(finished(request={"path": data}, error=error), 0.0)
    assert line.endswith("\n")
    assert line[:-1].isprintable()


def write_log(fd: int, *, lines: int, human: bool = False) -> None:
    async def main() -> None:
        log = AccessLog(fd, human=human)
        for _ in range(lines):
            log.log(finished(), 0.0)
        log.close()

    asyncio.run(main())


def test_what_waits_is_written_on_close(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        write_log(file.fileno(), lines=3)
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["request"] * 3


def test_lines_are_written_soon_without_close() -> None:
    async def main() -> None:
        reader, writer = os.pipe()
        log = AccessLog(writer, human=True)
        log.log(finished(), 0.0)
        line = await asyncio.wait_for(asyncio.to_thread(os.read, reader, 65536), 5)
        assert b" 200 GET " in line
        log.close()
        os.close(reader)
        os.close(writer)

    asyncio.run(main())


def test_a_reader_that_stalls_costs_lines_which_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accesslog, "MAX_WAITING", 100_000)

    async def main() -> tuple[int, int]:
        reader, writer = os.pipe()
        log = AccessLog(writer, human=False)
        for _ in range(30):
            for _ in range(100):
                log.log(finished(), 0.0)
            log._flush()
        read = asyncio.create_task(asyncio.to_thread(read_all, reader))
        await eventually(lambda: log._given == log._taken, "all is written")
        log.log(finished(), 0.0)
        log.close()
        os.close(writer)
        lines = [json.loads(line) for line in (await read).splitlines()]
        written = sum(line["event"] == "request" for line in lines)
        return written, sum(line["lines"] for line in lines if line["event"] == "access_log_dropped")

    written, missing = asyncio.run(main())
    assert written + missing == 3001
    assert 1 < written < 1000


def read_all(fd: int) -> bytes:
    with os.fdopen(fd, "rb") as file:
        return file.read()


def test_a_failed_write_is_counted_and_logging_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    script: list[Any] = [lambda fd, data: write(fd, data[:10]), OSError(28, "full"), BlockingIOError()]

    def flaky(fd: int, data: memoryview) -> int:
        step = script.pop(0) if script else write
        if isinstance(step, OSError):
            raise step
        return int(step(fd, data))

    monkeypatch.setattr(os, "write", flaky)
    path = tmp_path / "log"

    async def main(fd: int) -> None:
        log = AccessLog(fd, human=False)
        log.log(finished(), 0.0)
        log._flush()
        await eventually(lambda: log._failed, "a failed write")
        log.log(finished(), 0.0)
        log.close()

    with path.open("wb") as file:
        asyncio.run(main(file.fileno()))
    torn, request, missing = path.read_text().splitlines()
    assert len(torn) == 10
    assert json.loads(request)["event"] == "request"
    assert json.loads(missing)["lines"] == 1


def test_a_person_is_told_of_missing_lines_in_words() -> None:
    assert "3 requests are missing" in accesslog._missing_line(3, human=True)


def test_texts_that_differ_in_every_line_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accesslog, "MAX_QUOTED", 8)
    monkeypatch.setattr(accesslog, "FORGET_AFTER", 2)
    monkeypatch.setattr(accesslog, "_quoted", {})
    for number in range(20):
        assert accesslog._quote(f'"{number}') == json.dumps(f'"{number}')
    assert len(accesslog._quoted) == 8

    async def main() -> None:
        log = accesslog.AccessLog(os.open(os.devnull, os.O_WRONLY), human=False)
        log._flush()
        assert accesslog._quoted
        log._flush()
        assert not accesslog._quoted
        log.close()

    asyncio.run(main())
