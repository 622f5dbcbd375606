from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from backplane.cli.logs import LogFormat, configure_logs, is_human


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("log_format", "terminal", "human"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("human", False, True),
        ("json", True, False),
    ],
)
def test_format_follows_the_terminal_unless_told(log_format: LogFormat, terminal: bool, human: bool) -> None:
    assert is_human(log_format, Terminal() if terminal else io.StringIO()) is human


def test_json_lines_hold_time_level_event_and_values() -> None:
    out = io.StringIO()
    configure_logs("info", "json", out)
    structlog.get_logger().info("tunnel_opened", edge="e:1", raw=b"x")
    line = json.loads(out.getvalue())
    assert list(line)[:3] == ["time", "level", "event"]
    assert (line["level"], line["event"], line["edge"]) == ("info", "tunnel_opened", "e:1")


def test_library_s_log_has_the_same_shape() -> None:
    out = io.StringIO()
    configure_logs("info", "json", out)
    logging.getLogger("library").warning("trouble with %s", "x", extra={"port": 1, "color_message": "y"})
    line = json.loads(out.getvalue())
    line.pop("time")
    assert line == {"level": "warning", "event": "trouble with x", "port": 1}


def test_exception_stays_on_one_json_line() -> None:
    out = io.StringIO()
    configure_logs("info", "json", out)
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        structlog.get_logger().exception("failed")
    (line,) = out.getvalue().splitlines()
    assert "RuntimeError: boom" in json.loads(line)["exception"]


def test_who_watches_sees_the_lines_that_are_written_and_their_fields() -> None:
    seen: list[dict[str, object]] = []
    configure_logs("warning", "json", io.StringIO(), watch=lambda line: seen.append(dict(line)))
    structlog.get_logger().warning("upstream is down", upstream="http://127.0.0.1:1")
    logging.getLogger("library").error("trouble with %s", "x")
    structlog.get_logger().info("not written")
    assert [(line["level"], line["event"]) for line in seen] == [
        ("warning", "upstream is down"),
        ("error", "trouble with x"),
    ]
    assert not any(name.startswith("_") for line in seen for name in line)


def test_levels_below_the_threshold_are_dropped() -> None:
    out = io.StringIO()
    configure_logs("warning", "json", out)
    structlog.get_logger().info("quiet")
    logging.getLogger("library").info("quiet")
    assert out.getvalue() == ""


def test_human_line_is_coloured_only_on_a_terminal() -> None:
    plain, terminal = io.StringIO(), Terminal()
    for out in (plain, terminal):
        configure_logs("info", "human", out)
        structlog.get_logger().info("tunnel_opened", edge="e:1")
        structlog.reset_defaults()
    assert "tunnel_opened" in plain.getvalue()
    assert "\x1b[" not in plain.getvalue()
    assert "\x1b[" in terminal.getvalue()
