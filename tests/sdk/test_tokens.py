from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from backplane import (
    ApiTokenInput,
    AsyncClient,
    Client,
    Conflict,
    Forbidden,
    Invalid,
    JoinTokenInput,
    Unauthorized,
)
from tests.e2e.stage import Edge


def test_token_of_the_api_may_do_what_its_role_says(client: Client, edge: Edge) -> None:
    made = client.tokens.create(ApiTokenInput(role="viewer", description="a test"))
    assert made.secret not in repr(made)
    with Client(edge.api_url, token=made.secret) as viewer:
        list(viewer.routes.list())
        with pytest.raises(Forbidden):
            viewer.routes.delete("x")
        client.tokens.revoke(made.token.id)
        with pytest.raises(Unauthorized):
            list(viewer.routes.list())
    with pytest.raises(Conflict):
        client.tokens.update(made.token.id, {"description": "x"})


def test_join_token_says_what_agents_may_serve(client: Client) -> None:
    ends = datetime.now(UTC) + timedelta(days=1)
    wanted = JoinTokenInput(services=["web"], labels={"team": "web"}, publish=True, expires=ends)
    made = client.tokens.create(wanted).token
    assert made.kind == "join"
    assert (made.services, made.labels, made.publish) == (["web"], {"team": "web"}, True)
    assert made.expires is not None
    changed = client.tokens.update(made.id, {"expires": None}, if_version=made.version)
    assert changed.expires is None
    assert made.id in [one.id for one in client.tokens.list(kind="join", page_size=1)]
    client.tokens.revoke(made.id)
    assert made.id not in [one.id for one in client.tokens.list()]
    assert made.id in [one.id for one in client.tokens.list(revoked=True)]


def test_what_cannot_be_is_named(client: Client) -> None:
    with pytest.raises(Invalid) as caught:
        client.tokens.create(ApiTokenInput(role="king"))
    assert caught.value.fields[0].field.endswith("role")


def test_coroutines_make_tokens_too(client: Client, edge: Edge) -> None:
    async def main() -> None:
        async with AsyncClient.local(edge.data_dir) as other:
            made = await other.tokens.create(JoinTokenInput())
            assert await other.tokens.get(made.token.id) == made.token
            await other.tokens.update(made.token.id, {"description": "x"})
            await other.tokens.revoke(made.token.id)
            assert made.token.id not in [one.id async for one in other.tokens.list()]

    asyncio.run(main())
