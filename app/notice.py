"""A line in the log of an edge from a process that has no room for a logging library.

It looks like the lines of `backplane.cli.logs`, without its colours.
"""

from __future__ import annotations

import json
import sys
import time

__all__ = ["say"]


def say(level: str, event: str, *, log_format: str, **values: object) -> None:
    """Write one line to stderr; `log_format` is auto, human or json."""
    now = time.time()
    if log_format == "human" or (log_format == "auto" and sys.stderr.isatty()):
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        told = " ".join(f"{key}={value}" for key, value in values.items())
        line = f"{clock} [{level:<8}] {event} {told}"
    else:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}Z"
        line = json.dumps({"time": moment, "level": level, "event": event, **values}, default=str)
    print(line, file=sys.stderr, flush=True)
