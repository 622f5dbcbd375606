"""The agent's composition root: it makes the parts, runs them, and says how it ended."""

from __future__ import annotations

import asyncio

from backplane.cli.exit import CommandError, ExitCode
from backplane.cli.process import run_until_stopped
from h2s.errors import Untrusted

from .admin import AdminServer
from .agent import Agent
from .config import AgentSettings, read_token

__all__ = ["run"]


def run(settings: AgentSettings) -> int:
    """Serve until SIGTERM or SIGINT, drain, and return the exit code. Raises CommandError."""
    token = read_token(settings.token_file)

    async def main(stop: asyncio.Event) -> None:
        agent = Agent(settings, token)
        admin = AdminServer(agent)
        if settings.admin is not None:
            try:
                await admin.start(settings.admin.host, settings.admin.port)
            except OSError as error:
                raise CommandError(f"cannot listen on {settings.admin}: {error}", ExitCode.UNAVAILABLE) from None
        try:
            failure = await agent.run(stop)
        finally:
            await admin.close()
        if failure is not None:
            code = ExitCode.TRUST if isinstance(failure, Untrusted) else ExitCode.REFUSED
            raise CommandError(str(failure), code)

    run_until_stopped(main)
    return ExitCode.OK
