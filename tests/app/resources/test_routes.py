from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.app.console import Console, instance

SHOP: dict[str, Any] = {"name": "shop", "host": "shop.example", "targets": [{"selector": "service=web"}]}
CANARY = [
    {"name": "v1", "selector": "service=web,release=v1", "weight": 9},
    {"name": "v2", "selector": "service=web,release=v2", "weight": 1},
]


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Return a problem, having seen that it is this one."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


def fields(answer: httpx.Response) -> list[str]:
    """Return the fields that an answer says are wrong."""
    return [one["field"] for one in problem(answer, 422, "invalid")["errors"]]


def test_a_route_is_made_read_changed_and_deleted(any_console: Console) -> None:
    api = any_console
    made = api.post("/v1/routes", SHOP)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == "/v1/routes/shop"
    read = api.get("/v1/routes/shop")
    assert read.json() == made.json()
    assert read.headers["etag"] == made.headers["etag"] == '"1"'
    assert read.json()["targets"] == [{"name": "service=web", "selector": "service=web", "weight": 1}]
    changed = api.patch("/v1/routes/shop", {"path": "/api"})
    assert (changed.json()["path"], changed.headers["etag"]) == ("/api", '"2"')
    assert api.delete("/v1/routes/shop").status_code == 204
    problem(api.get("/v1/routes/shop"), 404, "route_not_found")
    problem(api.delete("/v1/routes/shop"), 404, "route_not_found")
    assert api.feed.versions == [1, 2, 3]


def test_a_name_is_taken_once(console: Console) -> None:
    console.post("/v1/routes", SHOP)
    problem(console.post("/v1/routes", SHOP | {"host": "other.example"}), 409, "already_exists")


def test_putting_twice_changes_nothing(any_console: Console) -> None:
    api = any_console
    body = {key: value for key, value in SHOP.items() if key != "name"}
    first = api.put("/v1/routes/shop", body)
    second = api.put("/v1/routes/shop", SHOP)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert api.feed.versions == [1]
    third = api.put("/v1/routes/shop", body | {"priority": 3})
    assert (third.status_code, third.json()["version"], third.json()["priority"]) == (200, 2, 3)


def test_what_was_read_can_be_put_back(console: Console) -> None:
    made = console.post("/v1/routes", SHOP).json()
    assert console.put("/v1/routes/shop", made).json() == made


def test_a_name_in_the_body_is_the_one_in_the_path(console: Console) -> None:
    assert fields(console.put("/v1/routes/store", SHOP)) == ["name"]


def test_nobody_overwrites_what_they_have_not_seen(any_console: Console) -> None:
    api = any_console
    seen = api.post("/v1/routes", SHOP).headers["etag"]
    api.patch("/v1/routes/shop", {"priority": 1})
    for change in (
        api.put("/v1/routes/shop", SHOP, headers={"If-Match": seen}),
        api.patch("/v1/routes/shop", {"priority": 2}, headers={"If-Match": seen}),
        api.patch("/v1/routes/shop/weights", {"service=web": 2}, headers={"If-Match": seen}),
        api.delete("/v1/routes/shop", headers={"If-Match": seen}),
        api.put("/v1/routes/shop", SHOP, headers={"If-None-Match": "*"}),
    ):
        problem(change, 412, "precondition_failed")
    problem(
        api.put("/v1/routes/new", SHOP | {"name": "new"}, headers={"If-Match": "*"}),
        412,
        "precondition_failed",
    )
    now = api.get("/v1/routes/shop").headers["etag"]
    assert api.delete("/v1/routes/shop", headers={"If-Match": f'"0", {now}'}).status_code == 204


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"targets": []}, "targets"),
        ({"targets": [{"selector": "service=web", "weight": 0}]}, "targets"),
        ({"targets": [{"selector": "service=web"}, {"selector": "service=web"}]}, "targets"),
        ({"targets": [{"selector": "service=("}]}, "targets[0].selector"),
        ({"targets": [{"selector": "service=web", "weight": -1}]}, "targets[0].weight"),
        ({"policies": ["nobody"]}, "policies[0]"),
        ({"host": "no host"}, "host"),
        ({"path": "api"}, "path"),
        ({"paht": "/"}, "paht"),
        ({"name": "-"}, "name"),
        ({"headers": [{"name": "x", "exact": "1", "prefix": "2"}]}, "headers[0]"),
    ],
)
def test_what_cannot_work_is_refused_with_its_field(
    console: Console, change: dict[str, Any], field: str
) -> None:
    assert fields(console.post("/v1/routes", SHOP | change)) == [field]
    assert console.get("/v1/routes").json()["items"] == []


def test_a_patch_that_cannot_work_is_refused_with_its_field(console: Console) -> None:
    console.post("/v1/routes", SHOP)
    assert fields(console.patch("/v1/routes/shop", {"targets": []})) == ["targets"]
    assert fields(console.patch("/v1/routes/shop", {"host": None})) == ["host"]
    assert fields(console.patch("/v1/routes/shop", {"name": "other"})) == ["name"]


def test_two_identical_routes_are_refused(any_console: Console) -> None:
    api = any_console
    api.post("/v1/routes", SHOP)
    twin = SHOP | {"name": "twin", "host": "SHOP.example."}
    assert "'shop'" in problem(api.post("/v1/routes", twin), 422, "identical_routes")["detail"]
    assert api.post("/v1/routes", twin | {"priority": 1}).status_code == 201
    problem(api.patch("/v1/routes/twin", {"priority": None}), 422, "identical_routes")
    assert api.post("/v1/routes", SHOP | {"name": "off", "enabled": False}).status_code == 201
    problem(api.patch("/v1/routes/off", {"enabled": True}), 422, "identical_routes")


def test_weights_change_in_one_step(any_console: Console) -> None:
    api = any_console
    api.post("/v1/routes", SHOP | {"targets": CANARY})
    shifted = api.patch("/v1/routes/shop/weights", {"v2": 3})
    assert [one["weight"] for one in shifted.json()["targets"]] == [9, 3]
    assert api.feed.versions == [1, 2]
    assert fields(api.patch("/v1/routes/shop/weights", {"v3": 1})) == ["v3"]
    assert fields(api.patch("/v1/routes/shop/weights", {"v1": 0, "v2": 0})) == ["targets"]
    assert fields(api.patch("/v1/routes/shop/weights", {"v1": -1})) == ["v1"]


def test_half_a_surrogate_pair_is_refused_wherever_it_comes(console: Console) -> None:
    console.post("/v1/routes", SHOP)
    json = {"Content-Type": "application/json"}
    weights = console.request("PATCH", "/v1/routes/shop/weights", content=b'{"\\ud800": 1}', headers=json)
    problem(weights, 422, "invalid")
    for member in (b'"headers": [["\\ud800", ""]]', b'"headers": [["a", "\\ud800"]]', b'"client": "\\ud800"'):
        body = b'{"host": "a.example", ' + member + b"}"
        problem(console.request("POST", "/v1/routes:explain", content=body, headers=json), 422, "invalid")


def test_what_is_only_suspicious_succeeds_with_a_warning(console: Console) -> None:
    console.connect(instance("web", labels={"release": "v1"}), instance("api"))
    targets = [*CANARY, {"name": "all", "selector": "service"}]
    made = console.post("/v1/routes", SHOP | {"targets": targets})
    assert made.status_code == 201
    warnings = [(one["code"], one["field"]) for one in made.json()["warnings"]]
    assert warnings == [
        ("matches_nothing", "targets[1].selector"),
        ("matches_several_services", "targets[2].selector"),
    ]


def test_lists_come_in_pages(any_console: Console) -> None:
    api = any_console
    for number in range(5):
        api.post("/v1/routes", SHOP | {"name": f"r{number}", "priority": number})
    names, cursor, pages = [], None, 0
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = api.get("/v1/routes", params=query).json()
        names += [one["name"] for one in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
        if cursor is None:
            break
    assert (names, pages) == ([f"r{number}" for number in range(5)], 3)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "cursor=!", "cursor=MQ", "cursor=Ilx1ZDgwMCI"]
)
def test_wrong_pages_are_refused(console: Console, query: str) -> None:
    assert fields(console.get(f"/v1/routes?{query}")) == [f"query.{query.partition('=')[0]}"]


def test_lists_are_filtered_by_host_and_policy(any_console: Console) -> None:
    api = any_console
    api.post("/v1/policies", {"name": "inside", "rules": []})
    api.post("/v1/routes", SHOP)
    api.post("/v1/routes", SHOP | {"name": "other", "host": "other.example", "policies": ["inside"]})
    hosts = api.get("/v1/routes", params={"host": "Shop.example"}).json()["items"]
    users = api.get("/v1/routes", params={"policy": "inside"}).json()["items"]
    assert [one["name"] for one in hosts + users] == ["shop", "other"]


def test_published_services_are_routes_that_nobody_made(console: Console) -> None:
    console.connect(instance("web"), instance("hidden", publish=False), instance("api"))
    page = console.get("/v1/routes", params={"source": "discovered", "limit": 1}).json()
    rest = console.get("/v1/routes", params={"source": "discovered", "cursor": page["next_cursor"]}).json()
    found = page["items"] + rest["items"]
    assert [(one["name"], one["source"]) for one in found] == [
        ("api.localhost", "discovered"),
        ("web.localhost", "discovered"),
    ]
    assert console.get("/v1/routes").json()["items"] == []
