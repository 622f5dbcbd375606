"""How a server's log looks: coloured lines for a person, JSON lines for a machine.

Loggers are structlog's (`structlog.get_logger()`, then `log.info("event", key=value)`); what libraries say through
`logging` comes out in the same shape. The log goes to stderr, so that stdout is free for data such as the access log.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

__all__ = ["LogFormat", "LogLevel", "configure_logs", "is_human"]

LogFormat = Literal["auto", "human", "json"]
"""`auto` is `human` on a terminal and `json` elsewhere."""
LogLevel = Literal["debug", "info", "warning", "error"]


def is_human(log_format: LogFormat, stream: TextIO) -> bool:
    """Return whether what is written to `stream` is to be read by a person."""
    return log_format == "human" or (log_format == "auto" and stream.isatty())


def configure_logs(
    level: LogLevel,
    log_format: LogFormat,
    stream: TextIO | None = None,
    watch: Callable[[Mapping[str, object]], None] | None = None,
) -> None:
    """Set up structlog and `logging` for the process. Call it once, before the first line.

    Args:
        level: the least important level that is written.
        log_format: see `LogFormat`.
        stream: where lines go; stderr by default.
        watch: sees each line that is written, as its fields.
    """
    out = sys.stderr if stream is None else stream
    human = is_human(log_format, out)
    threshold = logging.getLevelNamesMapping()[level.upper()]
    rendering: list[Processor] = _human(colors=out.isatty()) if human else _json()
    watching: list[Processor] = [_watched(watch)] if watch is not None else []
    structlog.configure(
        processors=[*_shared(human=human), *watching, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                *_shared(human=human),
                structlog.stdlib.ExtraAdder(),
                _without_colour_twin,
                *watching,
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.INFO), force=True)


def _shared(*, human: bool) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False, key="time")
        if human
        else structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    ]


def _watched(watch: Callable[[Mapping[str, object]], None]) -> Processor:
    def see(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        watch({name: value for name, value in event.items() if not name.startswith("_")})
        return event

    return see


def _human(*, colors: bool) -> list[Processor]:
    return [
        structlog.dev.ConsoleRenderer(
            colors=colors,
            timestamp_key="time",
            exception_formatter=structlog.dev.plain_traceback,
            pad_event_to=0,
            sort_keys=False,
        )
    ]


def _json() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        _time_first,
        structlog.processors.JSONRenderer(default=str),
    ]


def _without_colour_twin(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Drop the copy of its message that uvicorn adds for terminals."""
    event.pop("color_message", None)
    return event


def _time_first(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    first = {name: event.pop(name) for name in ("time", "level", "event") if name in event}
    return {**first, **event}
