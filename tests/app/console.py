"""The management API as a client sees it, on a database of its own, without a network and without data planes."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Iterable
from types import TracebackType
from typing import Any, Self

import httpx

from app.api import create_api
from app.database import Database, DatabaseUrl
from app.identity.records import hash_admin_token
from app.management.context import Management
from app.management.credentials import ApiCredential, Credentials, Role
from app.state import EdgeState
from edge.explain import Explanation, Question
from edge.port import InstanceState, Load, RegistryState, TunnelState
from h2s.messages import ConfigVersion

__all__ = ["TOKENS", "Console", "FeedFake", "PlanesFake", "instance"]

AUTHORITY = b"\x30\x81\x80" + bytes(128)
"""A DER sequence, which is all that a join token asks of a certificate."""
TOKENS = {role: f"token-of-a-{role}" for role in Role}


class FeedFake:
    """Hears which versions were made."""

    def __init__(self) -> None:
        self.versions: list[int] = []

    async def advance(self, n: int) -> None:
        """Take note."""
        self.versions.append(n)

    database_error: str | None = None


class PlanesFake:
    """Explains every request in the same way."""

    version: ConfigVersion | None = ConfigVersion(fleet="fleet-1", epoch=1, n=0)

    def __init__(self, state: EdgeState) -> None:
        self.state = state

    async def explain(self, question: Question) -> Explanation:
        """Say that a route of the host's name serves it."""
        return Explanation(route=question.host, why=("because",))

    async def load(self, *, agents: Iterable[str] = (), services: Iterable[str] = ()) -> Load:
        """Answer with what was in flight when the state was told."""
        known = {*agents}
        instances = [one for one in self.state.instances if one.agent_id in known]
        return Load(
            id=1,
            instances={one.instance_id: one.in_flight for one in instances},
            tunnels={one.tunnel_id: 1 for one in self.state.standing if one.agent_id in known},
            services={
                name: sum(one.in_flight for one in self.state.instances if one.service == name)
                for name in services
            },
        )


def instance(service: str = "web", **changes: Any) -> InstanceState:
    """Make an instance that is healthy."""
    values: dict[str, Any] = {
        "service": service,
        "agent_id": f"{service}-1",
        "zone": "",
        "labels": {},
        "healthy": 1,
        "total": 1,
        "in_flight": 0,
        "tunnels": 2,
        "publish": True,
        "capacity": 100,
        "since": 1.5,
        "connected": 1.0,
        "address": "192.0.2.1",
        "version": "0.1.0",
        "token_id": "token-1",
    }
    return InstanceState(**(values | changes))


class Console:
    """Sends requests; each is a turn of an event loop of its own."""

    def __init__(
        self, url: DatabaseUrl, *, open_metrics: bool = False, hosts: Collection[str] | None = None
    ) -> None:
        self.feed = FeedFake()
        self.state = EdgeState()
        self.planes = PlanesFake(self.state)
        self.credentials = Credentials()
        self.credentials.replace(
            ApiCredential(id=f"{role}-1", sha256=hash_admin_token(text), role=role)
            for role, text in TOKENS.items()
        )
        self._runner = asyncio.Runner()
        self._url = url
        self._open_metrics = open_metrics
        self._hosts = hosts

    def __enter__(self) -> Self:
        self._runner.run(self._open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._close())
        self._runner.close()

    async def _open(self) -> None:
        self.database = Database(self._url)
        await self.database.open(upgrade=True)
        self.management = Management(
            database=self.database,
            credentials=self.credentials,
            state=self.state,
            feed=self.feed,
            planes=self.planes,
            authority_der=AUTHORITY,
            edge_id="edge-1",
            domain="localhost",
            zone="here",
        )
        self.app = create_api(self.management, open_metrics=self._open_metrics, hosts=self._hosts)
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://api")

    async def _close(self) -> None:
        await self.client.aclose()
        await self.database.close()

    def connect(self, *instances: InstanceState) -> None:
        """Let these instances be the ones there are."""
        standing = tuple(
            TunnelState(
                tunnel_id=f"t-{number}",
                agent_id=one.agent_id,
                address="192.0.2.1",
                opened=1.5,
                draining=not one.tunnels,
            )
            for number, one in enumerate(instances)
        )
        self.state.on_notice(RegistryState(instances=instances, standing=standing, tunnels=len(standing)))

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something on the event loop."""
        self._runner.run(work)

    def request(
        self,
        method: str,
        path: str,
        *,
        role: Role | None = Role.ADMIN,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """Send a request with the token of a role, or without one."""
        sent = dict(headers or {})
        if role is not None:
            sent.setdefault("Authorization", f"Bearer {TOKENS[role]}")
        return self._runner.run(self.client.request(method, path, headers=sent, **options))

    def get(self, path: str, **options: Any) -> httpx.Response:
        """GET."""
        return self.request("GET", path, **options)

    def post(self, path: str, json: Any, **options: Any) -> httpx.Response:
        """POST JSON."""
        return self.request("POST", path, json=json, **options)

    def put(self, path: str, json: Any, **options: Any) -> httpx.Response:
        """PUT JSON."""
        return self.request("PUT", path, json=json, **options)

    def patch(self, path: str, json: Any, **options: Any) -> httpx.Response:
        """PATCH JSON."""
        return self.request("PATCH", path, json=json, **options)

    def delete(self, path: str, **options: Any) -> httpx.Response:
        """DELETE."""
        return self.request("DELETE", path, **options)
