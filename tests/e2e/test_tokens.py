"""Join tokens of a real edge: who comes in, as what, and who has to go."""

from __future__ import annotations

from typing import Any

import httpx

from .programs import eventually
from .stage import Agent, Edge, Stage
from .test_live import instance_ids
from .test_management import console, status

REFUSED = 4


def agent_with(
    stage: Stage, name: str, token: dict[str, Any], *options: object, edge: Edge, services: dict[str, str]
) -> Agent:
    """Start an agent with a token that was made through the API."""
    token_file = stage.folder / f"{name}-token"
    token_file.write_text(token["secret"])
    return stage.agent(name, *options, edges=[edge], services=services, token_file=token_file, ready=False)


def make(api: httpx.Client, **changes: Any) -> dict[str, Any]:
    answer = api.post("/v1/tokens", json={"kind": "join", "services": ["web"]} | changes)
    assert answer.status_code == 201, answer.text
    token: dict[str, Any] = answer.json()
    return token


def connected(api: httpx.Client, *ids: str) -> None:
    eventually(lambda: instance_ids(api, health="healthy") == list(ids), within=30, what=f"instances {ids}")


def test_a_token_decides_what_its_agents_serve_and_under_which_labels(stage: Stage) -> None:
    edge = stage.edge("edge", "--default-service", "none")
    origin = stage.origin().url
    with console(edge) as api:
        token = make(api, labels={"team": "a"}, publish=False)
        stranger = agent_with(stage, "stranger", token, edge=edge, services={"admin": origin})
        assert stranger.exit_code(60) == REFUSED
        assert "does not allow service 'admin'" in stranger.stderr
        options = ("--id", "one", "--label", "team=b")
        agent_with(stage, "one", token, *options, edge=edge, services={"web": origin})
        connected(api, "web.one")
        one = api.get("/v1/instances/web.one").json()
        assert (one["labels"], one["published"], one["token"]) == ({"team": "a"}, False, token["token"]["id"])
        assert status(edge, "web.localhost") == 404, "it is not published"
        route = {"name": "web", "host": "web.example", "targets": [{"selector": "team=a"}]}
        assert api.post("/v1/routes", json=route).status_code == 201
        assert status(edge, "web.example") == 200


def test_a_limited_token_lets_no_more_agents_in_but_the_known_ones_also_without_the_database(
    stage: Stage,
) -> None:
    edge = stage.edge()
    services = {"web": stage.origin().url}
    with console(edge) as api:
        token = make(api, max_agents=2)
        first = agent_with(stage, "first", token, "--id", "one", edge=edge, services=services)
        connected(api, "web.one")
        third = make(api, max_agents=1)
        agent_with(stage, "second", token, "--id", "two", edge=edge, services=services)
        connected(api, "web.one", "web.two")
        assert api.get(f"/v1/tokens/{token['token']['id']}").json()["agents"] == 2
        late = agent_with(stage, "late", token, "--id", "late", edge=edge, services=services)
        assert late.exit_code(60) == REFUSED
        assert "as many agents as it is good for" in late.stderr
        first.stop()
        connected(api, "web.two")
        (edge.data_dir / "backplane.sqlite").rename(edge.data_dir / "away")
        assert api.get("/v1/routes").status_code == 503
        agent_with(stage, "again", token, "--id", "one", edge=edge, services=services)
        connected(api, "web.one", "web.two")
        waiting = agent_with(stage, "waiting", third, "--id", "three", edge=edge, services=services)
        eventually(lambda: "cannot be recorded just now" in waiting.stderr, within=20, what="it is told why")
        (edge.data_dir / "away").rename(edge.data_dir / "backplane.sqlite")
        connected(api, "web.one", "web.three", "web.two")


def test_a_revoked_token_is_good_for_nothing_and_its_tunnels_are_closed_if_asked(stage: Stage) -> None:
    edge = stage.edge()
    services = {"web": stage.origin().url}
    with console(edge) as api:
        token, other = make(api), make(api)
        agent = agent_with(stage, "agent", token, "--id", "one", edge=edge, services=services)
        agent_with(stage, "other", other, "--id", "two", edge=edge, services=services)
        connected(api, "web.one", "web.two")
        where = f"/v1/tokens/{token['token']['id']}"
        assert api.delete(where).status_code == 204
        newcomer = agent_with(stage, "new", token, "--id", "new", edge=edge, services=services)
        assert newcomer.exit_code(60) == REFUSED
        assert instance_ids(api) == ["web.one", "web.two"], "tunnels that stand are left alone"
        assert api.delete(where, params={"close_tunnels": True}).status_code == 204
        connected(api, "web.two")
        assert agent.exit_code(60) == REFUSED
