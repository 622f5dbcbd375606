from __future__ import annotations

import asyncio

import pytest

from backplane import (
    AsyncClient,
    Client,
    Conflict,
    Invalid,
    NotFound,
    PreconditionFailed,
    Question,
    Route,
    Target,
    Unauthorized,
)
from tests.e2e.stage import Edge

SHOP = Route(name="shop", host="shop.example", targets=[Target(selector="service=web")])
CANARY = Route(
    name="canary",
    host="canary.example",
    targets=[
        Target(name="v1", selector="service=web,release=v1", weight=1),
        Target(name="v2", selector="service=web,release=v2", weight=0),
    ],
)


def test_route_goes_from_creation_to_deletion(client: Client) -> None:
    made = client.routes.create(SHOP)
    assert (made.name, made.targets[0].name, made.path) == ("shop", "service=web", "/")
    assert made.version is not None
    assert client.routes.get("shop") == made
    changed = client.routes.update("shop", {"priority": 5})
    assert changed.priority == 5
    changed.priority = 7
    assert client.routes.replace(changed, if_version=changed.version).priority == 7
    client.routes.delete("shop")
    with pytest.raises(NotFound) as caught:
        client.routes.get("shop")
    assert caught.value.code == "route_not_found"
    assert caught.value.request_id


def test_putting_a_route_again_changes_nothing(client: Client) -> None:
    first = client.routes.replace(SHOP)
    assert client.routes.replace(SHOP).version == first.version


def test_what_a_newer_edge_says_is_sent_back(client: Client) -> None:
    route = client.routes.create(SHOP)
    newer = Route.model_validate({**route.model_dump(), "colour": "blue"})
    assert newer.sent()["colour"] == "blue"
    with pytest.raises(Invalid) as caught:
        client.routes.replace(newer)
    assert [(one.field, one.detail) for one in caught.value.fields] == [("colour", "there is no such field")]


def test_weights_shift_in_one_step(client: Client) -> None:
    client.routes.create(CANARY)
    changed = client.routes.weights("canary", {"v1": 90, "v2": 10})
    assert {one.name: one.weight for one in changed.targets} == {"v1": 90, "v2": 10}
    assert [one.code for one in changed.warnings] == ["matches_nothing"]


def test_what_cannot_work_is_named_by_its_field(client: Client) -> None:
    with pytest.raises(Invalid) as caught:
        client.routes.create(SHOP.model_copy(update={"targets": [Target(selector="service==web")]}))
    assert [one.field for one in caught.value.fields] == ["targets[0].selector"]


def test_somebody_else_s_change_is_not_overwritten(client: Client) -> None:
    made = client.routes.create(SHOP)
    client.routes.update("shop", {"priority": 1})
    with pytest.raises(PreconditionFailed):
        client.routes.update("shop", {"priority": 2}, if_version=made.version)
    with pytest.raises(PreconditionFailed):
        client.routes.delete("shop", if_version=made.version)
    with pytest.raises(PreconditionFailed):
        client.routes.replace(SHOP, only_new=True)
    with pytest.raises(Conflict):
        client.routes.create(SHOP)


def test_list_goes_over_all_pages(client: Client) -> None:
    names = [f"route-{number}" for number in range(5)]
    for name in names:
        client.routes.create(SHOP.model_copy(update={"name": name, "host": f"{name}.example"}))
    assert [one.name for one in client.routes.list(page_size=2)] == names
    assert [one.name for one in client.routes.list(host="route-3.example")] == ["route-3"]


def test_discovered_routes_are_listed_apart(client: Client) -> None:
    [found] = client.routes.list(source="discovered")
    assert (found.host, found.source) == ("web.localhost", "discovered")


def test_request_is_explained(client: Client) -> None:
    client.routes.create(SHOP)
    found = client.routes.explain(Question(host="shop.example", path="/cart"))
    assert (found.route, found.targets[0].instances, found.targets[0].share) == ("shop", 1, 1.0)


def test_name_with_strange_characters_is_no_other_path(client: Client) -> None:
    for name in ("a/b", "../policies", "shop?x=1", "shop#x", "%2e%2e", ""):
        with pytest.raises((NotFound, Invalid)):
            client.routes.get(name)


def test_wrong_token_is_unauthorized(edge: Edge) -> None:
    with Client(edge.api_url, token="wrong") as client, pytest.raises(Unauthorized) as caught:
        next(client.routes.list())
    assert caught.value.hint is not None


def test_coroutines_do_the_same(client: Client, edge: Edge) -> None:
    async def main() -> None:
        async with AsyncClient.local(edge.data_dir) as other:
            made = await other.routes.create(CANARY)
            assert await other.routes.get("canary") == made
            await other.routes.replace(CANARY, if_version=made.version)
            changed = await other.routes.weights("canary", {"v2": 3})
            assert changed.targets[1].weight == 3
            assert [one.name async for one in other.routes.list(page_size=1)] == ["canary"]
            await other.routes.update("canary", {"enabled": False})
            found = await other.routes.explain(Question(host="canary.example"))
            assert (found.route, found.status) == (None, 404)
            await other.routes.delete("canary")
            with pytest.raises(NotFound):
                await other.routes.get("canary")

    asyncio.run(main())
