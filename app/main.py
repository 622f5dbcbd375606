"""The edge's composition root: settings in, and out of them the processes of an edge.

    backplane edge ──becomes──▶ app.supervisor ──starts──▶ app.control   API, identity, metrics
                                                      └──▶ edge.main     traffic

The command has loaded a command line and a validator that nobody needs any more once the settings are known, so it
becomes the supervisor by `exec`: same process id, a quarter of the memory. The settings go through a pipe.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any, NoReturn

import structlog

from backplane.cli.exit import CommandError, ExitCode
from h2s.datapath import data_path_hint
from h2s.engine import engine_hint
from h2s.errors import EngineUnavailable

from .config import EdgeSettings
from .supervisor import command_of

__all__ = ["run"]

log: Any = structlog.get_logger("edge")

NEEDED = ("alembic", "cryptography", "fastapi", "prometheus_client", "sqlalchemy", "uvicorn")
"""What only the control process imports: better missed here than there."""


def run(settings: EdgeSettings) -> NoReturn:
    """Become an edge with these settings. Raises ModuleNotFoundError and CommandError."""
    try:
        hints = engine_hint(), data_path_hint()
    except EngineUnavailable as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    for hint in hints:
        if hint is not None:
            log.info(hint)
    for name in NEEDED:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    read, write = os.pipe()
    with os.fdopen(write, "w") as pipe:
        pipe.write(settings.model_dump_json())
    os.set_inheritable(read, True)
    command = command_of("app.supervisor", read)
    os.execv(command[0], command)  # noqa: S606
