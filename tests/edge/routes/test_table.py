from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.policies import PolicySpec
from edge.pools import Pools
from edge.problem import Refusal
from edge.registry import Registry
from edge.route import RouteSpec
from edge.routes import RoutingTable, TableEdit, TableError, compile_table, host_of

from ..fakes import make_request
from .reference import serves

HOSTS = ["a.test", "b.a.test", "c.b.a.test", "*.a.test", "*.b.a.test", "*.test"]
SEGMENTS = st.sampled_from(["x", "y", "xy"])
ROUTE_PATHS = st.lists(SEGMENTS, max_size=3).map(lambda segments: "/" + "/".join(segments))
REQUEST_PATHS = st.lists(
    st.sampled_from(["x", "y", "xy", "", ".", "..", "%78", "%2e", "%2E%2e", "x%2fy", "x;y", "a\\x", "%2578"]),
    max_size=5,
).map(lambda segments: "/" + "/".join(segments))
CONDITIONS = st.sampled_from([{"exact": "1"}, {"prefix": "1"}, {"present": True}, {"present": False}])


@st.composite
def route_sets(draw: st.DrawFn) -> list[RouteSpec]:
    """Routes that can be served together."""
    routes: dict[Any, RouteSpec] = {}
    for number in range(draw(st.integers(0, 8))):
        route = RouteSpec.model_validate(
            {
                "name": f"r{number}",
                "host": draw(st.sampled_from(HOSTS)),
                "path": draw(ROUTE_PATHS),
                "priority": draw(st.sampled_from([0, 0, 1])),
                "methods": draw(st.sampled_from([[], [], ["GET"], ["POST", "GET"]])),
                "headers": [
                    {"name": "h", **condition} for condition in draw(st.lists(CONDITIONS, max_size=1))
                ],
                "query": [{"name": "q", **condition} for condition in draw(st.lists(CONDITIONS, max_size=1))],
                "targets": [{"selector": "service=web"}],
                "enabled": draw(st.sampled_from([True, True, True, False])),
            }
        )
        routes.setdefault(route.key if route.enabled else number, route)
    return list(routes.values())


@st.composite
def requests(draw: st.DrawFn) -> Any:
    target = draw(REQUEST_PATHS) + draw(st.sampled_from(["", "?q=1", "?q=12", "?p=1&q=2", "?%71=%31", "?q"]))
    return make_request(
        method=draw(st.sampled_from([b"GET", b"POST", b"PUT"])),
        authority=draw(st.sampled_from([b"a.test", b"B.a.test:80", b"c.b.a.test", b"d.c.b.a.test", b"test"])),
        path=target.encode(),
        fields=draw(st.sampled_from([[], [(b"h", b"1")], [(b"h", b"12")], [(b"h", b"2"), (b"h", b"1")]])),
    )


def compiled(*routes: RouteSpec, **more: Any) -> RoutingTable:
    return compile_table(routes=routes, pools=Pools(Registry()), **more)


def found(table: RoutingTable, request: Any) -> str | None:
    """The name of the route that serves a request, "?" when its path is ambiguous."""
    try:
        route = table.find(request, host_of(request.authority))
    except Refusal as refusal:
        return "?" if (refusal.status, refusal.code) == (400, "ambiguous_path") else None
    return None if route is None else route.name


@settings(deadline=None)
@given(route_sets(), st.lists(requests(), min_size=1, max_size=5))
def test_the_most_specific_route_serves_and_no_other_reading_leads_elsewhere(
    routes: list[RouteSpec], asked: list[Any]
) -> None:
    table = compiled(*routes)
    for request in asked:
        host = host_of(request.authority)
        path = request.path.decode().partition("?")[0]
        expected = serves(routes, request, path, host)
        answer = found(table, request)
        if answer != "?":
            assert answer == expected
        else:
            assert any(mark in path for mark in ("%", "//", "/.", "\\", ";")), "a plain path has one reading"
        resolved = normal(path)
        if serves(routes, request, resolved, host) != expected:
            assert answer == "?"


def normal(path: str) -> str:
    """RFC 3986 §5.2.4 after decoding, in the plainest words."""
    kept: list[str] = []
    for segment in path.replace("%78", "x").replace("%2e", ".").replace("%2E", ".").split("/")[1:]:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    return "/" + "/".join(kept)


@settings(deadline=None)
@given(route_sets(), route_sets(), route_sets(), st.lists(requests(), min_size=1, max_size=5))
def test_changes_come_to_the_same_as_starting_anew_and_leave_the_old_table_alone(
    first: list[RouteSpec], second: list[RouteSpec], third: list[RouteSpec], asked: list[Any]
) -> None:
    pools = Pools(Registry())
    table = compile_table(routes=first, pools=pools)
    before = [found(table, request) for request in asked]
    known, old = first, table
    for routes in (second, third):
        edit = TableEdit(table, pools)
        for route in routes:
            edit.set_route(route)
        for route in known:
            if route.name not in {other.name for other in routes}:
                edit.remove_route(route.name)
        table, known = edit.finish(), routes
        assert [found(table, request) for request in asked] == [
            found(compiled(*routes), request) for request in asked
        ]
        assert table.routes.size == sum(route.enabled for route in routes)
    assert [found(old, request) for request in asked] == before
    edit = TableEdit(table, pools)
    for route in known:
        edit.remove_route(route.name)
    empty = edit.finish()
    assert (empty.routes.size, empty.hosts.size, empty.suffixes.size) == (0, 0, 0)


def make(name: str = "r", **changes: Any) -> RouteSpec:
    values: dict[str, Any] = {"name": name, "host": "a.test", "targets": [{"selector": "service=web"}]}
    return RouteSpec.model_validate(values | changes)


def test_a_path_with_escapes_is_found_as_it_is_written() -> None:
    table = compiled(make("root"), make("escaped", path="/a%20b/%C3%A9"))
    assert found(table, make_request(authority=b"a.test", path=b"/a%20b/%C3%A9/x")) == "escaped"
    assert found(table, make_request(authority=b"a.test", path=b"/a%20b/%c3%a9")) == "?"
    assert found(table, make_request(authority=b"a.test", path=b"/other%20x")) == "root"


def test_every_reading_is_the_same_where_there_is_one_path() -> None:
    assert found(compiled(make()), make_request(authority=b"a.test", path=b"/x/..;/%2e%2E\\y")) == "r"


@pytest.mark.parametrize(
    "path", [b"/public/../admin", b"/public/%2e%2e/admin", b"/public/..%2fadmin", b"//admin"]
)
@pytest.mark.parametrize("more", [b"", b"/x", b"?q=1", b";v=1"])
def test_no_detour_leads_around_a_route(path: bytes, more: bytes) -> None:
    table = compiled(make("public"), make("admin", path="/admin"))
    assert found(table, make_request(authority=b"a.test", path=path + more)) == "?"


def test_an_ipv6_host_is_one_host_however_it_is_written() -> None:
    table = compiled(make(host="[2001:db8::1]"))
    assert found(table, make_request(authority=b"[2001:DB8:0::0001]:80", path=b"/")) == "r"
    assert found(table, make_request(authority=b"[2001:db8::2]", path=b"/")) is None
    assert found(table, make_request(authority=b"[rubbish", path=b"/")) is None


def test_a_wildcard_is_for_hosts_below_and_not_for_the_suffix_itself() -> None:
    table = compiled(make(host="*.a.test"))
    assert found(table, make_request(authority=b"x.y.a.test")) == "r"
    assert found(table, make_request(authority=b"a.test")) is None
    assert found(table, make_request(authority=b"xa.test")) is None


def test_the_whole_site_is_asked_for_with_a_star() -> None:
    table = compiled(make("root"), make("api", path="/api"))
    assert found(table, make_request(method=b"OPTIONS", authority=b"a.test", path=b"*")) == "root"


def test_an_upgrade_is_a_get_in_every_http_version() -> None:
    table = compiled(make(methods=["GET"]))
    request = make_request(authority=b"a.test", method=b"CONNECT", upgrade=b"websocket", path=b"/")
    assert found(table, request) == "r"


def test_identical_routes_are_named() -> None:
    with pytest.raises(TableError, match="'one' and 'two' are identical"):
        compiled(make("one"), make("two"))
    assert compiled(make("one"), make("two", enabled=False)).routes.size == 1
    assert compiled(make("one"), make("two", priority=1)).routes.size == 2


def test_a_route_takes_the_place_of_an_identical_one_in_one_change() -> None:
    pools = Pools(Registry())
    edit = TableEdit(compile_table(routes=[make("one")], pools=pools), pools)
    edit.set_route(make("two"))
    edit.remove_route("one")
    assert found(edit.finish(), make_request(authority=b"a.test")) == "two"


def test_a_missing_policy_is_named_with_who_wants_it() -> None:
    with pytest.raises(TableError, match="policy 'p' is attached to route 'r', and is not there"):
        compiled(make(policies=["p"]))
    with pytest.raises(TableError, match="policy 'p' is attached to discovered services"):
        compiled(default_policies=("p",))


DENY = PolicySpec.model_validate({"name": "p", "rules": [{"type": "ip", "deny": ["0.0.0.0/0"]}]})


def test_a_policy_reaches_every_route_that_has_it_without_compiling_them_anew() -> None:
    pools = Pools(Registry())
    nothing = PolicySpec(name="p")
    table = compile_table(routes=[make(policies=["p"])], policies=[nothing], pools=pools)
    route = table.find(make_request(authority=b"a.test"), "a.test")
    assert table.chain_of(route) is None
    edit = TableEdit(table, pools)
    edit.set_policy(DENY)
    changed = edit.finish()
    assert changed.find(make_request(authority=b"a.test"), "a.test") is route
    assert changed.chain_of(route) is not None
    edit = TableEdit(changed, pools)
    edit.remove_policy("p")
    with pytest.raises(TableError, match="is not there"):
        edit.finish()
    edit = TableEdit(changed, pools)
    edit.remove_policy("p")
    edit.remove_route("r")
    assert edit.finish().chains == {(): None}


def test_policies_of_discovered_services_are_a_chain_of_their_own() -> None:
    table = compiled(make(), policies=[DENY], default_policies=("p",))
    assert table.chain_of(None) is not None
    assert table.chain_of(table.find(make_request(authority=b"a.test"), "a.test")) is None


def test_a_change_shares_what_it_does_not_touch_and_a_new_start_shares_nothing() -> None:
    pools = Pools(Registry())
    table = compile_table(routes=[make("one"), make("two", host="b.test")], pools=pools)
    edit = TableEdit(table, pools)
    edit.remove_route("one")
    changed = edit.finish()
    assert table.shares_with(changed)
    assert not table.shares_with(compiled())
    assert len(changed.pieces) == 3 * len(changed.routes.pieces)
