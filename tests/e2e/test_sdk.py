"""The SDK beside edges that stop, crash and come back."""

from __future__ import annotations

from backplane import Client, Route, StreamedEvent, Target
from backplane.retry import RetryPolicy

from .programs import answers, eventually
from .stage import Edge, Stage

PATIENT = RetryPolicy(attempts=60, longest_delay=0.5)


def route(name: str) -> Route:
    return Route(name=name, host=f"{name}.example", targets=[Target(selector="service=web")])


def api_is_back(edge: Edge) -> None:
    eventually(lambda: answers(f"{edge.api_url}/readyz"), within=30, what="the API answers")


def test_events_go_on_where_they_were_after_a_crash(stage: Stage) -> None:
    edge = stage.edge()
    with Client.local(edge.data_dir) as client:
        client.routes.create(route("first"))
        stream = client.events.follow(after=0, retry=PATIENT)

        def changes() -> str:
            """Return the name of the next route that was changed."""
            found: StreamedEvent = next(one for one in stream if one.event and one.event.kind == "route")
            return str(found.data["name"])

        assert changes() == "first"
        edge.part("app.control").kill()
        api_is_back(edge)
        for name in ("second", "third"):
            client.routes.replace(route(name))
        assert [changes(), changes()] == ["second", "third"]
        stream.close()


def test_what_may_be_repeated_is_while_the_api_starts_again(stage: Stage) -> None:
    edge = stage.edge()
    with Client.local(edge.data_dir, retry=PATIENT) as client:
        client.routes.create(route("first"))
        edge.part("app.control").kill()
        assert client.routes.get("first").host == "first.example"
        edge.part("app.control").kill()
        assert client.routes.replace(route("second")).name == "second"


def test_client_outlives_an_edge_that_is_started_anew(stage: Stage) -> None:
    edge = stage.edge()
    with Client.local(edge.data_dir, retry=PATIENT) as client:
        client.routes.create(route("first"))
        edge.stop()
        stage.edge("again", data_dir=edge.data_dir, addresses=edge.addresses)
        assert [one.name for one in client.routes.list()] == ["first"]
