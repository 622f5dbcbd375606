"""Two edges on one database: what an operator does at one of them holds at both."""

from __future__ import annotations

from tests.app.postgres import PostgresServer

from .programs import backplane, eventually
from .stage import Edge, Stage
from .test_live import instance_ids
from .test_management import console, status
from .test_tokens import REFUSED, make

HERE = "web.one"


def fleet(stage: Stage, server: PostgresServer) -> tuple[Edge, Edge]:
    """Start two edges that share identity and database."""
    url = server.create()
    assert stage.run("upgrade", [*backplane("db", "upgrade"), "--database-url", url]).exit_code(60) == 0
    first = stage.edge("first", "--database-url", url)
    second = stage.edge("second", "--database-url", url, "--identity-dir", first.data_dir)
    return first, second


def test_a_drain_and_a_disconnect_at_one_edge_hold_at_the_other(stage: Stage, server: PostgresServer) -> None:
    first, second = fleet(stage, server)
    stage.agent("agent", "--id", "one", edges=[first, second], services={"web": stage.origin().url})
    with console(first) as api, console(second, identity=first) as other:
        assert api.post(f"/v1/instances/{HERE}:drain").status_code == 204
        eventually(lambda: status(second, "web.localhost") == 503, within=30, what="it is drained there too")
        assert [one["instance"] for one in other.get("/v1/drains").json()["items"]] == [HERE]
        assert other.post(f"/v1/instances/{HERE}:resume").status_code == 204
        eventually(lambda: status(first, "web.localhost") == 200, within=30, what="it is resumed here too")

        def tunnels() -> set[str]:
            return {one["id"] for one in other.get("/v1/tunnels").json()["items"]}

        eventually(lambda: len(tunnels()) == 2, within=30, what="both tunnels")
        before = tunnels()
        assert api.post(f"/v1/instances/{HERE}:disconnect").status_code == 204
        eventually(lambda: len(tunnels() - before) == 2, within=30, what="both tunnels anew")


def test_a_token_is_counted_and_revoked_for_all_edges(stage: Stage, server: PostgresServer) -> None:
    first, second = fleet(stage, server)
    services = {"web": stage.origin().url}
    with console(first) as api, console(second, identity=first) as other:
        token = make(api, max_agents=1, publish=True)
        where = f"/v1/tokens/{token['token']['id']}"
        secret = stage.folder / "limited"
        secret.write_text(token["secret"])
        agent = stage.agent(
            "agent", "--id", "one", edges=[first, second], services=services, token_file=secret
        )
        assert other.get(where).json()["agents"] == 1
        options = ("--id", "two")
        late = stage.agent(
            "late", *options, edges=[second], services=services, token_file=secret, ready=False
        )
        assert late.exit_code(60) == REFUSED
        assert other.delete(where, params={"close_tunnels": True}).status_code == 204
        for there in (api, other):
            eventually(lambda: instance_ids(there) == [], within=30, what="its agent is gone")  # noqa: B023
        assert agent.exit_code(60) == REFUSED
