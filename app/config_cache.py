"""The last configuration as a file of the data directory: for a start on a day when the database is gone.

Without it an edge would begin with no route at all, and a control process that is started again would take the
configuration away from data planes that had gone on with it. The file has hashes of tokens, never tokens.
"""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from edge.policies import PolicySpec
from edge.route import RouteSpec
from edge.snapshot import JoinGrant

from .feed import Config
from .identity import IdentityError
from .identity.directory import PrivateDirectory
from .management.credentials import ApiCredential

__all__ = ["ConfigCache"]

log: Any = structlog.get_logger("cache")

FILE = "last-config.json"
DELAY = 1.0
"""Seconds that changes are gathered."""
SHARE = 20
"""Writing takes one of so many seconds at the most, however large the configuration is."""


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: int = 1
    fleet: str
    epoch: int
    n: int
    routes: list[RouteSpec]
    policies: list[PolicySpec]
    default_policies: tuple[str, ...]
    grants: tuple[JoinGrant, ...]
    credentials: tuple[ApiCredential, ...]
    revoked: frozenset[str]
    closed_tokens: tuple[str, ...] = ()
    drained: tuple[str, ...] = ()


class ConfigCache:
    """Reads the file once and writes it after changes."""

    def __init__(self, directory: PrivateDirectory) -> None:
        self._directory = directory
        self._latest: Config | None = None
        self._task: asyncio.Task[None] | None = None

    def load(self) -> Config | None:
        """Return the configuration that was kept, or None."""
        try:
            content = self._directory.read(FILE)
            kept = None if content is None else _Kept.model_validate_json(content)
        except (IdentityError, ValidationError) as error:
            log.warning("the kept configuration cannot be read", reason=str(error).partition("\n")[0])
            return None
        if kept is None:
            return None
        return Config(
            fleet=kept.fleet,
            epoch=kept.epoch,
            n=kept.n,
            routes={route.name: route for route in kept.routes},
            policies={policy.name: policy for policy in kept.policies},
            default_policies=kept.default_policies,
            grants=kept.grants,
            credentials=kept.credentials,
            revoked=kept.revoked,
            closed_tokens=kept.closed_tokens,
            drained=kept.drained,
        )

    def keep(self, config: Config) -> None:
        """Write a configuration soon."""
        self._latest = config
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write(), name="configuration cache")

    async def close(self) -> None:
        """Write what is not written yet."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._latest is not None:
            await asyncio.to_thread(self._write_now, self._latest)
            self._latest = None

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        pause = DELAY
        while self._latest is not None:
            await asyncio.sleep(pause)
            config, began = self._latest, loop.time()
            await asyncio.to_thread(self._write_now, config)
            if self._latest is config:
                self._latest = None
            pause = max(DELAY, SHARE * (loop.time() - began))

    def _write_now(self, config: Config) -> None:
        # Written route by route: in one piece 100,000 of them would keep the API waiting for most of a second.
        routes = ",".join([route.model_dump_json() for route in list(config.routes.values())])
        kept = _Kept(
            fleet=config.fleet,
            epoch=config.epoch,
            n=config.n,
            routes=[],
            policies=list(config.policies.values()),
            default_policies=config.default_policies,
            grants=config.grants,
            credentials=config.credentials,
            revoked=config.revoked,
            closed_tokens=config.closed_tokens,
            drained=config.drained,
        )
        try:
            rest = kept.model_dump_json(exclude={"routes"}).removesuffix("}")
            self._directory.write(FILE, f'{rest},"routes":[{routes}]}}'.encode(), secret=True)
        except IdentityError as error:
            log.warning("the configuration could not be kept", reason=str(error))
