"""Exchanges under configured routes and their policies: what the client gets, and what goes into the tunnel."""

from __future__ import annotations

import json
from typing import Any

from edge.policies import PolicySpec
from edge.pools import Pools
from edge.registry import Registry
from edge.route import RouteSpec
from edge.routes import compile_table
from edge.routing import Router
from edge.snapshot import Snapshot
from h2s.wire import SERVICE_FIELD

from .fakes import VERSION, FakeDownstream, World, make_request

HEADERS = {
    "type": "headers",
    "request": {"set": {"x-tenant": "acme"}},
    "response": {"set": {"x-frame-options": "DENY"}, "remove": ["server"]},
}


class RoutedWorld(World):
    """An edge with the service `web`, and routes on `shop.test` with policies."""

    def __init__(self, *routes: dict[str, Any], **policies: list[dict[str, Any]]) -> None:
        super().__init__()
        self.pools = Pools(self.registry)
        self.snapshot = Snapshot(version=VERSION, edge_id="e")
        self.policies = [
            PolicySpec.model_validate({"name": name, "rules": rules}) for name, rules in policies.items()
        ]
        self.configure(*routes)

    def configure(self, *routes: dict[str, Any], default_policies: tuple[str, ...] = ()) -> None:
        base: dict[str, Any] = {"host": "shop.test", "targets": [{"selector": "service=web"}]}
        specs = [
            RouteSpec.model_validate({"name": f"r{number}", **base, **route})
            for number, route in enumerate(routes)
        ]
        table = compile_table(
            routes=specs, policies=self.policies, default_policies=default_policies, pools=self.pools
        )
        self.gateway.router = Router(self.snapshot, self.registry, table)

    def ask(self, **changes: Any) -> FakeDownstream:
        client = FakeDownstream()
        self.gateway.begin(make_request(**({"authority": b"shop.test"} | changes)), client)
        return client


def code_of(client: FakeDownstream) -> str:
    code: str = json.loads(client.body)["code"]
    return code


def test_a_route_leads_to_an_instance_that_its_selector_picks() -> None:
    world = RoutedWorld({})
    [tunnel] = world.add()
    client = world.ask()
    assert dict(tunnel.fake.last.fields)[SERVICE_FIELD] == b"web"
    stream = tunnel.fake.last
    stream.agent_ended = True
    stream.taker.on_head([(b":status", b"204")], True)
    assert client.status == 204
    world.assert_at_rest()
    assert world.gateway.counters.requests == {("web", 2): 1}


def test_a_route_without_an_instance_answers_503_and_names_itself() -> None:
    client = RoutedWorld({}).ask()
    assert client.status == 503
    assert b"No healthy instance of route 'r0' can take the request." in client.body


def test_a_path_that_can_be_read_in_two_ways_is_refused() -> None:
    world = RoutedWorld({}, {"path": "/admin"})
    world.add()
    client = world.ask(path=b"/x/..%2fadmin")
    assert (client.status, code_of(client)) == (400, "ambiguous_path")
    world.assert_at_rest()


def test_a_policy_refuses_before_anything_goes_into_a_tunnel() -> None:
    world = RoutedWorld({"policies": ["p"]}, p=[{"type": "ip", "deny": ["192.0.2.0/24"]}, HEADERS])
    [tunnel] = world.add()
    client = world.ask()
    assert (client.status, code_of(client)) == (403, "address_denied")
    assert (b"x-frame-options", b"DENY") in client.fields, "answers of the edge are answers of the site"
    assert not tunnel.fake.known
    world.assert_at_rest()


def test_heads_are_changed_on_their_way_there_and_back() -> None:
    world = RoutedWorld({"policies": ["p"]}, p=[HEADERS])
    [tunnel] = world.add()
    client = world.ask(fields=[(b"x-tenant", b"forged")])
    sent = [value for name, value in tunnel.fake.last.fields if name == b"x-tenant"]
    assert sent == [b"acme"]
    head = [(b":status", b"200"), (b"server", b"app"), (b"x-a", b"1")]
    tunnel.fake.last.taker.on_head(head, True)
    assert client.fields == [(b"x-a", b"1"), (b"x-frame-options", b"DENY")]


def test_the_client_behind_a_trusted_proxy_is_the_one_that_the_app_hears_of() -> None:
    rule = {"type": "ip", "trusted_proxies": ["192.0.2.0/24"]}
    world = RoutedWorld({"policies": ["p"]}, p=[rule])
    [tunnel] = world.add()
    world.ask(fields=[(b"x-forwarded-for", b"6.6.6.6, 203.0.113.5"), (b"x-forwarded-proto", b"https")])
    fields = tunnel.fake.last.fields
    assert [value for name, value in fields if name == b"x-forwarded-for"] == [b"203.0.113.5"]
    assert (b"x-forwarded-proto", b"https") in fields


def test_discovered_services_have_policies_of_their_own() -> None:
    world = RoutedWorld({}, p=[{"type": "ip", "deny": ["192.0.2.0/24"]}])
    world.add()
    world.configure({}, default_policies=("p",))
    assert world.ask(authority=b"web.localhost").status == 403
    assert world.ask().status == 0, "a route has its own policies only"


def test_a_request_in_flight_keeps_the_route_it_began_with() -> None:
    world = RoutedWorld({"policies": ["p"]}, p=[HEADERS])
    first, second = world.add("one"), world.add("two")
    client = world.ask(method=b"GET")
    world.configure({"targets": [{"selector": "service=other"}]})
    lost, other = (first[0], second[0]) if first[0].in_flight else (second[0], first[0])
    lost.fake.lose(processed=False)
    assert other.in_flight == 1, "its retry goes where the first attempt might have gone"
    other.fake.last.taker.on_head([(b":status", b"200"), (b"server", b"app")], True)
    assert client.fields == [(b"x-frame-options", b"DENY")]
    assert world.ask().status == 503


def test_an_instance_that_comes_after_the_first_request_is_used() -> None:
    world = RoutedWorld({})
    assert world.ask().status == 503
    world.add()
    assert world.ask().status == 0


def test_a_router_without_routes_asks_the_registry_alone() -> None:
    registry = Registry()
    router = Router(Snapshot(version=VERSION, edge_id="e"), registry)
    assert router.find(make_request()) == (None, None)
