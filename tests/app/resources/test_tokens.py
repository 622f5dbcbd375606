from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

import h2s.token
from app.database.models import JoinTokenRow
from app.identity.records import hash_admin_token
from app.management.context import Work
from app.management.credentials import Principal, Role
from app.token_uses import count
from tests.app.console import Console
from tests.app.resources.test_routes import fields, problem

JOIN: dict[str, Any] = {"kind": "join", "services": ["web"], "labels": {"team": "a"}}
API: dict[str, Any] = {"kind": "api", "role": "editor", "description": "CI"}


def test_a_join_token_is_made_shown_once_and_revoked(any_console: Console) -> None:
    api = any_console
    made = api.post("/v1/tokens", JOIN)
    assert made.status_code == 201, made.text
    secret = h2s.token.JoinToken.parse(made.json()["secret"])
    token = made.json()["token"]
    assert (token["services"], token["labels"], token["publish"]) == (["web"], {"team": "a"}, False)
    assert api.get(made.headers["location"]).json() == token
    for answer in (api.get("/v1/tokens"), api.get("/v1/events")):
        assert secret.secret_hash not in answer.text
        assert made.json()["secret"] not in answer.text
    assert api.delete(made.headers["location"]).status_code == 204
    assert api.get(made.headers["location"]).json()["revoked"]
    assert api.get("/v1/tokens").json()["items"] == []
    assert len(api.get("/v1/tokens?revoked=true").json()["items"]) == 1
    assert api.delete(made.headers["location"]).status_code == 204
    assert api.feed.versions == [1, 2]


def test_an_api_token_is_kept_as_a_hash(any_console: Console) -> None:
    api = any_console
    made = api.post("/v1/tokens", API).json()
    assert made["token"]["role"] == "editor"
    assert made["secret"].startswith("bpa_")
    assert hash_admin_token(made["secret"]) not in api.get("/v1/events").text


def test_tokens_of_both_kinds_are_listed_in_pages(any_console: Console) -> None:
    api = any_console
    ids = sorted(api.post("/v1/tokens", body).json()["token"]["id"] for body in (JOIN, API, JOIN, API, API))
    found, cursor = [], None
    while True:
        page = api.get("/v1/tokens", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        found += [one["id"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == ids
    assert len(api.get("/v1/tokens", params={"kind": "join"}).json()["items"]) == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (JOIN | {"services": []}, "join.services"),
        (JOIN | {"services": ["*", "web"]}, "join.services"),
        (JOIN | {"labels": {"zone": "a"}}, "join.labels"),
        (JOIN | {"expires": "2001-01-01T00:00:00Z"}, "join.expires"),
        (JOIN | {"expires": "2099-01-01T00:00:00"}, "join.expires"),
        (JOIN | {"expires": "9999-12-31T23:59:59-23:00"}, "join.expires"),
        (API | {"role": "king"}, "api.role"),
        (API | {"secret": "mine"}, "api.secret"),
        ({"kind": "magic"}, ""),
    ],
)
def test_a_token_that_cannot_work_is_refused_with_its_field(
    console: Console, body: dict[str, Any], field: str
) -> None:
    assert fields(console.post("/v1/tokens", body)) == [field]


def test_what_is_said_of_a_token_changes_and_not_what_it_is_good_for(any_console: Console) -> None:
    api = any_console
    where = api.post("/v1/tokens", API).headers["location"]
    changed = api.patch(where, {"description": "ours", "expires": "2099-01-01T00:00:00Z"})
    assert (changed.json()["description"], changed.json()["expires"]) == ("ours", "2099-01-01T00:00:00Z")
    assert api.patch(where, {"expires": None}).json()["expires"] is None
    assert fields(api.patch(where, {"role": "admin"})) == ["role"]
    problem(api.patch(where, {}, headers={"If-Match": '"1"'}), 412, "precondition_failed")
    api.delete(where)
    problem(api.patch(where, {"description": "x"}), 409, "token_revoked")
    problem(api.get("/v1/tokens/none"), 404, "token_not_found")


def test_the_last_admin_token_stays(any_console: Console) -> None:
    api = any_console
    first = api.post("/v1/tokens", API | {"role": "admin"}).headers["location"]
    problem(api.delete(first), 409, "last_admin_token")
    second = api.post("/v1/tokens", API | {"role": "admin"}).headers["location"]
    assert api.delete(first).status_code == 204
    problem(api.delete(second), 409, "last_admin_token")


def test_no_edge_is_left_with_admins_that_expire_alone(any_console: Console) -> None:
    api = any_console
    first = api.post("/v1/tokens", API | {"role": "admin"}).headers["location"]
    problem(api.patch(first, {"expires": "2099-01-01T00:00:00Z"}), 409, "last_admin_token")
    admin = API | {"role": "admin", "expires": "2099-01-01T00:00:00Z"}
    second = api.post("/v1/tokens", admin).headers["location"]
    problem(api.delete(first), 409, "last_admin_token")
    assert api.delete(second).status_code == 204


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
def test_tokens_are_for_admins(console: Console, role: Role) -> None:
    problem(console.get("/v1/tokens", role=role), 403, "forbidden")
    problem(console.post("/v1/tokens", API, role=role), 403, "forbidden")


def test_times_have_their_zone(console: Console) -> None:
    made = console.post("/v1/tokens", API).json()["token"]
    assert datetime.fromisoformat(made["created"]).tzinfo == UTC


def test_a_join_token_is_good_for_some_agents_and_says_how_many_it_has_let_in(any_console: Console) -> None:
    api = any_console
    made = api.post("/v1/tokens", JOIN | {"max_agents": 2})
    where, token_id = made.headers["location"], made.json()["token"]["id"]
    assert (made.json()["token"]["max_agents"], made.json()["token"]["agents"]) == (2, 0)

    async def register(*agents: str) -> dict[tuple[str, str], str]:
        async with Work(api.management, Principal("edge-1", Role.ADMIN), "").change() as change:
            return await count(change, [(token_id, agent) for agent in agents])

    refused: dict[tuple[str, str], str] = {}

    async def crowd() -> None:
        refused.update(await register("a", "a"))
        refused.update(await register("a", "b", "c"))
        refused.update(await register("d"))

    api.run(crowd())
    assert refused == {(token_id, "c"): "token_used_up", (token_id, "d"): "token_used_up"}
    assert api.get(where).json()["agents"] == 2
    events = api.get("/v1/events", params={"action": "use"}).json()["items"]
    assert [(one["name"], one["after"]["agent"]) for one in events] == [(token_id, "b"), (token_id, "a")]
    api.delete(where)
    refused.clear()
    api.run(crowd())
    assert set(refused.values()) == {"token_unknown"}
    assert fields(api.post("/v1/tokens", JOIN | {"max_agents": 0})) == ["join.max_agents"]


def test_the_tunnels_of_a_revoked_token_are_closed_when_that_is_asked_for(any_console: Console) -> None:
    api = any_console
    where = api.post("/v1/tokens", JOIN).headers["location"]

    def closed() -> list[str]:
        found: list[str] = []

        async def read() -> None:
            async with api.database.read() as session:
                rows = await session.scalars(select(JoinTokenRow.id).where(JoinTokenRow.close_tunnels))
                found.extend(rows.all())

        api.run(read())
        return found

    assert api.delete(where).status_code == 204
    assert closed() == []
    for _ in range(2):
        assert api.delete(f"{where}?close_tunnels=true").status_code == 204
    assert closed() == [where.rpartition("/")[2]]
    actions = [one["action"] for one in api.get("/v1/events").json()["items"]]
    assert actions == ["update", "revoke", "create"]
    other = api.post("/v1/tokens", API).headers["location"]
    assert fields(api.delete(f"{other}?close_tunnels=true")) == ["query.close_tunnels"]
