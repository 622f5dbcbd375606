from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.registry import Registry
from edge.routing import Router, host_of
from edge.snapshot import Snapshot

from .fakes import VERSION, FakeTunnel, make_agent, make_offer, make_request


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        (b"Web.Example:8080", "web.example"),
        (b"web.example.", "web.example"),
        (b"web.example.:80", "web.example"),
        (b"web.example:", "web.example"),
        (b"[::1]:80", "[::1]"),
        (b"[::1]", "[::1]"),
        (b"", ""),
    ],
)
def test_a_host_is_found_in_an_authority(authority: bytes, host: str) -> None:
    assert host_of(authority) == host


@given(st.binary())
def test_any_authority_has_an_answer(authority: bytes) -> None:
    assert router(Registry()).find(make_request(authority=authority)) == (None, None)


def router(registry: Registry, default: str = "none") -> Router:
    snapshot = Snapshot(version=VERSION, edge_id="e", domain="Example.test", default_service=default)
    return Router(snapshot, registry)


def connect(registry: Registry, service: str, *, publish: bool = True) -> None:
    registry.add_tunnel(make_agent(service), [make_offer(service, publish=publish)], FakeTunnel())


def leave(registry: Registry, service: str) -> None:
    agent = registry.agents[service]
    registry.remove_tunnel(agent, agent.tunnels[0])


def found(router: Router, authority: bytes) -> str | None:
    destination, policies = router.find(make_request(authority=authority))
    assert policies is None
    return None if destination is None else destination.service_name


def test_a_published_service_is_found_under_its_name() -> None:
    registry = Registry()
    connect(registry, "web")
    assert found(router(registry), b"WEB.example.test:80") == "web"
    for other in (
        b"example.test",
        b"x.web.example.test",
        b"web.other.test",
        b"webexample.test",
        b".example.test",
    ):
        assert found(router(registry), other) is None


def test_an_unpublished_service_is_not_found_by_its_name_but_serves_as_the_default() -> None:
    registry = Registry()
    connect(registry, "web", publish=False)
    assert found(router(registry), b"web.example.test") is None
    assert found(router(registry, "auto"), b"other.test") is None
    assert found(router(registry, "web"), b"other.test") == "web"


def test_auto_serves_the_only_service_and_none_of_several() -> None:
    registry = Registry()
    automatic = router(registry, "auto")
    assert found(automatic, b"other.test") is None
    connect(registry, "web")
    assert found(automatic, b"other.test") == "web"
    connect(registry, "api")
    assert found(automatic, b"other.test") is None
    leave(registry, "web")
    assert found(automatic, b"other.test") == "api"


def test_a_departed_service_is_still_found_and_has_no_instance() -> None:
    registry = Registry()
    connect(registry, "web")
    leave(registry, "web")
    for one, host in ((router(registry), b"web.example.test"), (router(registry, "auto"), b"other.test")):
        service, _ = one.find(make_request(authority=host))
        assert service is not None
        assert service.pick(tried=(), random=lambda: 0.0) is None


def test_a_named_default_exists_before_its_first_instance() -> None:
    assert found(router(Registry(), "web"), b"other.test") == "web"
