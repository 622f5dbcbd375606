"""One line a request, written without ever holding up the loop.

Lines are collected for a moment and written by a thread of their own; when the reader of the log is so slow that too
much waits, or a line cannot be written at all, lines are dropped and counted rather than requests delayed, and the
count is written as soon as there is room. Each of the two threads has numbers that only it changes.

A line is put together of texts that are kept: of what most lines have in common as JSON, of the time up to the second.
Numbers with decimals are whole numbers of their last place, which are cheaper to write.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
import time
from json.encoder import encode_basestring_ascii as quote
from queue import SimpleQueue
from typing import Final

from .message import Request
from .registry import Instance

__all__ = ["AccessLog", "Entry"]

FLUSH_INTERVAL = 0.05
"""Seconds that a line may wait."""
MAX_WAITING = 16 * 1024 * 1024
"""Bytes waiting for the writing thread."""
CLOSE_TIMEOUT = 2.0
"""Seconds in which what is left is written at the end."""


class Entry:
    """What a line says: of a request that went no further than the ingress, or of an exchange, which is its heir."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "error",
        "instance",
        "request",
        "request_id",
        "retries",
        "service_name",
        "status",
        "upstream_time",
    )

    def __init__(self, request: Request, request_id: bytes) -> None:
        self.request = request
        self.request_id = request_id
        self.status = 0
        self.error = ""
        """Why it went wrong; empty when it did not."""
        self.bytes_in = 0
        self.bytes_out = 0
        self.retries = 0
        self.service_name = ""
        self.instance: Instance | None = None
        """Who answered."""
        self.upstream_time: float | None = None
        """Seconds from opening the stream to the response's head."""


class AccessLog:
    """Writes access-log lines to a file descriptor; owned by whoever made it, who calls `close`."""

    def __init__(self, fd: int, *, human: bool) -> None:
        """Write to `fd`: columns for people, or JSON lines for programs."""
        self._fd = fd
        self._human = human
        self._lines: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[tuple[bytes, int] | None] = SimpleQueue()
        self._given = 0
        """Bytes given to the thread."""
        self._full = 0
        """Flushes since as many texts are kept as may be."""
        self._dropped = 0
        """Lines not given to it, for want of room."""
        self._told = 0
        """Lines missing that the log has told of."""
        self._taken = 0
        """Thread: bytes done with."""
        self._failed = 0
        """Thread: lines that could not be written."""
        self._torn = False
        """Thread: the last write ended within a line."""
        self._writer = threading.Thread(target=self._write_batches, name="access-log", daemon=True)
        self._writer.start()

    def log(self, entry: Entry, duration: float) -> None:
        """Log a finished exchange, or a refused request, that took `duration` seconds at the edge."""
        if not self._lines:
            self._loop.call_later(FLUSH_INTERVAL, self._flush)
        self._lines.append(_human_line(entry, duration) if self._human else _json_line(entry, duration))

    def close(self) -> None:
        """Write what is left and stop the thread."""
        self._flush()
        self._queue.put(None)
        self._writer.join(CLOSE_TIMEOUT)

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        if len(_quoted) >= MAX_QUOTED:
            self._full += 1
            if self._full >= FORGET_AFTER:
                self._full = 0
                _quoted.clear()
        if self._given - self._taken > MAX_WAITING:
            self._dropped += len(lines)
            return
        count = len(lines)
        missing = self._dropped + self._failed - self._told
        if missing:
            lines.append(_missing_line(missing, human=self._human))
            self._told += missing
        if lines:
            batch = "".join(lines).encode()
            self._given += len(batch)
            self._queue.put((batch, count))

    def _write_batches(self) -> None:
        while (item := self._queue.get()) is not None:
            batch, count = item
            try:
                self._write(b"\n" + batch if self._torn else batch)
            except OSError:
                self._failed += count
            self._taken += len(batch)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                size = os.write(self._fd, view)
            except BlockingIOError:
                select.select([], [self._fd], [])
                continue
            self._torn = view[size - 1] != NEWLINE
            view = view[size:]


NEWLINE = ord("\n")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


_quoted: dict[bytes | str, str] = {}
MAX_QUOTED = 4096
"""Texts that are kept as JSON, since most lines are much like the last. Once there are so many, others are not kept
until all are forgotten, which is seldom: where each line has another host, keeping them costs more than it saves."""
FORGET_AFTER = 200
"""Flushes with so many texts."""
MAX_QUOTED_SIZE = 128


def _quote(text: bytes | str) -> str:
    """Return a text as JSON."""
    found = _quoted.get(text)
    if found is None:
        found = quote(text if isinstance(text, str) else _text(text))
        if len(_quoted) < MAX_QUOTED and len(text) <= MAX_QUOTED_SIZE:
            _quoted[text] = found
    return found


def _json_line(entry: Entry, duration: float) -> str:
    request = entry.request
    instance = entry.instance
    upstream = entry.upstream_time
    upstream_ms = "null" if upstream is None else _milliseconds(upstream)
    service = _quote(entry.service_name) if entry.service_name else "null"
    agent = _quote(instance.agent.agent_id) if instance is not None else "null"
    error = f',"error":{quote(entry.error)}' if entry.error else ""
    return (
        f'{{"event":"request","time":"{_clock.now()}","method":{_quote(request.method)},'
        f'"host":{_quote(request.authority)},"path":{_quote(request.path)},'
        f'"status":{entry.status},"bytes_in":{entry.bytes_in},"bytes_out":{entry.bytes_out},'
        f'"duration_ms":{_milliseconds(duration)},"upstream_ms":{upstream_ms},"service":{service},"instance":{agent},'
        f'"client":{_quote(request.peer)},"protocol":"HTTP/{request.version}",'
        f'"retries":{entry.retries},"request_id":"{entry.request_id.decode()}"{error}}}\n'
    )


def _human_line(entry: Entry, duration: float) -> str:
    request = entry.request
    instance = entry.instance
    to = f"{entry.service_name}@{instance.agent.agent_id}" if instance is not None else "-"
    upstream = entry.upstream_time
    beyond = "" if upstream is None else f" ({upstream * 1000:.1f} ms upstream)"
    error = f"  {entry.error}" if entry.error else ""
    line = (
        f"{_clock.now()[11:23]} {entry.status} {_text(request.method):<7} "
        f"{_text(request.authority)}{_text(request.path)}"
        f"  {entry.bytes_in}/{entry.bytes_out} B  {duration * 1000:.1f} ms{beyond}  {to}"
        f"  {entry.request_id.decode()}{error}"
    )
    return "".join(char if char.isprintable() else "?" for char in line) + "\n"


def _missing_line(count: int, *, human: bool) -> str:
    if human:
        return f"{_clock.now()[11:23]} {count} requests are missing here: the log was not read fast enough\n"
    return f'{{"event":"access_log_dropped","time":"{_clock.now()}","lines":{count}}}\n'


_TWO_DIGITS: Final = [f"{number:02d}" for number in range(100)]
_THREE_DIGITS: Final = [f"{number:03d}" for number in range(1000)]


def _milliseconds(seconds: float) -> str:
    """Return a time as milliseconds with two decimals."""
    hundredths = int(seconds * 100_000 + 0.5)
    return f"{hundredths // 100}.{_TWO_DIGITS[hundredths % 100]}"


class _Clock:
    """The time in UTC with milliseconds; the part that changes once a second is kept."""

    __slots__ = ("_second", "_text")

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def now(self) -> str:
        """Return the time as RFC 3339 has it."""
        milliseconds = int(time.time() * 1000)
        second = milliseconds // 1000
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._text}.{_THREE_DIGITS[milliseconds % 1000]}Z"


_clock: Final = _Clock()
