"""Services, tunnels and edges: what is connected, summed up."""

from __future__ import annotations

from app.management.credentials import Role
from edge.port import PlaneReady, RequestCount
from tests.app.console import Console, instance
from tests.app.notices import make_counters
from tests.app.resources.test_routes import problem

FLEET = (
    instance("web", agent_id="a", zone="z1", in_flight=3, labels={"release": "v1"}),
    instance("web", agent_id="b", zone="z2", in_flight=1, healthy=0),
    instance("db", agent_id="d", publish=False, drained=True),
)


def test_services_are_the_sums_of_their_instances(console: Console) -> None:
    console.connect(*FLEET)
    counts = (RequestCount(service="web", status_class=f"{one}xx", count=one) for one in (2, 5))
    console.state.on_notice(make_counters(requests=tuple(counts)))
    db, web = console.get("/v1/services").json()["items"]
    assert web == {
        "name": "web",
        "host": "web.localhost",
        "instances": 2,
        "healthy": 1,
        "reconnecting": 0,
        "draining": 0,
        "capacity": 200,
        "in_flight": 4,
        "requests": 7,
        "requests_per_second": 0.0,
        "zones": {"z1": {"instances": 1, "healthy": 1}, "z2": {"instances": 1, "healthy": 0}},
    }
    assert (db["host"], db["draining"], db["requests"]) == (None, 1, 0)
    assert console.get("/v1/services/web").json() == web
    problem(console.get("/v1/services/nobody"), 404, "service_not_found")
    [only] = console.get("/v1/services", params={"selector": "release=v1"}).json()["items"]
    assert (only["name"], only["instances"]) == ("web", 1)
    page = console.get("/v1/services", params={"limit": 1}).json()
    rest = console.get("/v1/services", params={"limit": 1, "cursor": page["next_cursor"]}).json()
    assert [one["name"] for one in page["items"] + rest["items"]] == ["db", "web"]
    assert rest["next_cursor"] is None


def test_tunnels_say_whose_they_are(console: Console) -> None:
    assert console.get("/v1/tunnels").json()["items"] == []
    console.connect(*FLEET)
    first, *others = console.get("/v1/tunnels").json()["items"]
    assert first == {
        "id": "t-0",
        "agent": "a",
        "services": ["web"],
        "zone": "z1",
        "address": "192.0.2.1",
        "agent_version": "0.1.0",
        "token": "token-1",
        "opened": "1970-01-01T00:00:01.500000Z",
        "draining": False,
        "in_flight": 1,
    }
    assert [one["id"] for one in others] == ["t-1", "t-2"]
    assert console.get("/v1/tunnels/t-0").json() == first
    problem(console.get("/v1/tunnels/t-9"), 404, "tunnel_not_found")
    found = console.get("/v1/tunnels", params={"selector": "service=db"}).json()["items"]
    assert [one["id"] for one in found] == ["t-2"]


def test_an_edge_says_what_it_is_and_how_it_is(console: Console) -> None:
    [starting] = console.get("/v1/edges").json()["items"]
    assert (starting["status"], starting["started"], starting["snapshot"]) == ("starting", None, None)
    ready = PlaneReady(public="192.0.2.1:80", tunnel="192.0.2.1:7443", pid=1, engine="native", started=1.5)
    console.state.on_notice(ready)
    console.connect(*FLEET)
    console.state.on_notice(make_counters())
    edge = console.get("/v1/edges/edge-1").json()
    assert edge.pop("version")
    assert edge == {
        "id": "edge-1",
        "zone": "here",
        "domain": "localhost",
        "engine": "native",
        "status": "ok",
        "database": None,
        "started": "1970-01-01T00:00:01.500000Z",
        "public": "192.0.2.1:80",
        "tunnel": "192.0.2.1:7443",
        "snapshot": {"fleet": "fleet-1", "epoch": 1, "n": 0},
        "services": 2,
        "instances": 3,
        "healthy": 2,
        "agents": 3,
        "tunnels": 3,
        "in_flight": 4,
        "public_connections": 5,
        "requests": 0,
        "requests_per_second": 0.0,
    }
    console.feed.database_error = "it is locked"
    console.state.draining = True
    edge = console.get("/v1/edges/edge-1", role=Role.VIEWER).json()
    assert (edge["status"], edge["database"]) == ("draining", "it is locked")
    problem(console.get("/v1/edges/edge-2"), 404, "edge_not_found")
