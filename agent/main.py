"""The agent's composition root: it makes the parts, runs them, and says how it ended."""

from __future__ import annotations

import asyncio
import ssl

from pydantic import ValidationError

from backplane.cli.exit import CommandError, ExitCode
from backplane.cli.process import run_until_stopped
from h2s.engine import engine_name
from h2s.errors import EngineUnavailable, Untrusted
from h2s.token import JoinToken

from .address import Kind
from .admin import AdminServer
from .agent import Agent
from .config import AgentSettings, read_token
from .failures import Failures
from .upstream import upstream_context

__all__ = ["run"]


def run(settings: AgentSettings, failures: Failures | None = None) -> int:
    """Serve until SIGTERM or SIGINT, drain, and return the exit code. Raises CommandError.

    `failures` keeps what an operator who inspects the agent is told of the log.
    """
    try:
        engine_name()
    except EngineUnavailable as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    token = read_token(settings.token_file)

    async def main(stop: asyncio.Event) -> None:
        agent = _make_agent(settings, token, failures or Failures())
        admin = AdminServer(agent)
        if settings.admin is not None:
            try:
                await admin.start(settings.admin.host, settings.admin.port)
            except OSError as error:
                raise CommandError(
                    f"cannot listen on {settings.admin}: {error}", ExitCode.UNAVAILABLE
                ) from None
        try:
            failure = await agent.run(stop)
        finally:
            await admin.close()
        if failure is not None:
            code = ExitCode.TRUST if isinstance(failure, Untrusted) else ExitCode.REFUSED
            raise CommandError(str(failure), code)

    run_until_stopped(main)
    return ExitCode.OK


def _make_agent(settings: AgentSettings, token: JoinToken, failures: Failures) -> Agent:
    tls = _upstream_tls(settings)
    try:
        return Agent(settings, token, tls=tls, failures=failures)
    except ssl.SSLError:
        raise CommandError("the join token's CA certificate is damaged", ExitCode.TRUST) from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CommandError(
            f"no edge would take this agent: {where}: {first['msg']}", ExitCode.USAGE
        ) from None


def _upstream_tls(settings: AgentSettings) -> ssl.SSLContext | None:
    """Return what https upstreams are checked with, if there is one or a CA was given."""
    kinds = {upstream.kind for upstreams in settings.services.values() for upstream in upstreams}
    if Kind.HTTPS not in kinds and settings.upstream_ca is None:
        return None
    try:
        return upstream_context(settings.upstream_ca)
    except ssl.SSLError:
        raise CommandError(
            f"upstream CA {settings.upstream_ca}: it holds no certificate in PEM", ExitCode.USAGE
        ) from None
    except OSError as error:
        raise CommandError(f"upstream CA {settings.upstream_ca}: {error.strerror}", ExitCode.USAGE) from None
