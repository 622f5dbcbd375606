from __future__ import annotations

import asyncio

import pytest
import yaml

from backplane import AsyncClient, BadRequest, Client, Invalid, Policy, PreconditionFailed, Route, Target
from backplane.models import HeadersRule, IpRule
from tests.e2e.stage import Edge

SHOP = Route(name="shop", host="shop.example", policies=["office"], targets=[Target(selector="service=web")])
OFFICE = Policy(name="office", rules=[IpRule(allow=["127.0.0.0/8"]), HeadersRule()])


def test_applying_an_export_changes_nothing(client: Client) -> None:
    client.policies.create(OFFICE)
    client.routes.create(SHOP)
    document = client.config.export()
    assert client.config.apply(document).changes == []
    text = client.config.export_text()
    assert yaml.safe_load(text) == document
    assert client.config.apply(text).changes == []


def test_dry_run_says_what_would_change(client: Client) -> None:
    client.policies.create(OFFICE)
    client.routes.create(SHOP)
    planned = client.config.apply({"version": 1, "routes": []}, dry_run=True)
    assert [(one.action, one.kind, one.name) for one in planned.changes] == [("delete", "route", "shop")]
    assert client.routes.get("shop").name == "shop"
    client.policies.update("office", {"description": "x"})
    with pytest.raises(PreconditionFailed):
        client.config.apply({"version": 1, "routes": []}, if_version=planned.version)


def test_wrong_document_is_refused_whole(client: Client) -> None:
    with pytest.raises(Invalid) as caught:
        client.config.apply({"routes": [SHOP.sent()]})
    assert caught.value.fields[0].field == "routes[0].policies[0]"
    with pytest.raises(BadRequest, match="line 2"):
        client.config.apply("routes: [\n")


def test_policies_and_defaults_go_from_creation_to_deletion(client: Client) -> None:
    made = client.policies.create(OFFICE)
    assert [rule.type for rule in made.rules] == ["ip", "headers"]
    assert client.policies.get("office") == made
    client.policies.replace(made.model_copy(update={"description": "ours"}), if_version=made.revision)
    assert [one.description for one in client.policies.list()] == ["ours"]
    assert client.default_policies.replace(["office"]) == ["office"]
    assert client.default_policies.get() == ["office"]
    client.default_policies.replace([])
    client.policies.delete("office")
    assert list(client.policies.list()) == []


def test_rule_that_is_not_known_here_is_kept() -> None:
    policy = Policy.model_validate({"name": "x", "rules": [{"type": "cache", "seconds": 3}]})
    assert policy.sent()["rules"] == [{"type": "cache", "seconds": 3}]


def test_coroutines_apply_too(client: Client, edge: Edge) -> None:
    async def main() -> None:
        async with AsyncClient.local(edge.data_dir) as other:
            await other.policies.create(OFFICE)
            await other.default_policies.replace(["office"])
            assert await other.default_policies.get() == ["office"]
            document = await other.config.export()
            assert document["default_policies"] == ["office"]
            text = await other.config.export_text("json")
            assert (await other.config.apply(text)).changes == []
            assert [one.name async for one in other.policies.list()] == ["office"]

    asyncio.run(main())
