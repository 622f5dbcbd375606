from __future__ import annotations

from typing import Any

import httpx
import pytest
import yaml

from tests.app.console import Console
from tests.app.resources.test_policies import OFFICE
from tests.app.resources.test_routes import SHOP, fields, problem

DOCUMENT: dict[str, Any] = {
    "policies": [OFFICE],
    "default_policies": ["office"],
    "routes": [SHOP | {"policies": ["office"]}],
}


def apply(
    api: Console, document: Any, *, media_type: str = "application/json", **options: Any
) -> httpx.Response:
    """Apply a document; text is sent as it is."""
    if isinstance(document, str):
        options |= {"content": document.encode()}
    else:
        options |= {"json": document}
    headers = {"Content-Type": media_type} | options.pop("headers", {})
    return api.request("PUT", "/v1/config", headers=headers, **options)


def changed(answer: httpx.Response) -> list[tuple[str, str, str]]:
    """Return what an answer says was changed."""
    assert answer.status_code == 200, answer.text
    return [(one["action"], one["kind"], one["name"]) for one in answer.json()["changes"]]


def test_a_document_is_applied_in_one_step(any_console: Console) -> None:
    api = any_console
    answer = apply(api, DOCUMENT)
    assert changed(answer) == [
        ("create", "policy", "office"),
        ("create", "route", "shop"),
        ("update", "setting", "default_policies"),
    ]
    assert api.feed.versions == [1]
    assert answer.headers["etag"] == api.get("/v1/config").headers["etag"] == '"1"'
    assert api.get("/v1/routes/shop").json()["policies"] == ["office"]
    problem(api.delete("/v1/policies/office"), 409, "policy_in_use")
    assert [one["action"] for one in api.get("/v1/events").json()["items"]] == ["create", "create", "update"]


def test_applying_it_again_or_its_export_changes_nothing(any_console: Console) -> None:
    api = any_console
    apply(api, DOCUMENT)
    assert changed(apply(api, DOCUMENT)) == []
    exported = api.get("/v1/config")
    again = apply(api, exported.json())
    assert (changed(again), again.json()["unchanged"]) == ([], 2)
    text = api.get("/v1/config", headers={"Accept": "application/yaml"}).text
    assert yaml.safe_load(text) == exported.json()
    assert changed(apply(api, text, media_type="application/yaml")) == []
    assert api.feed.versions == [1]


def test_an_export_says_only_what_somebody_has_said(console: Console) -> None:
    apply(console, DOCUMENT)
    assert console.get("/v1/config?format=json").json()["routes"] == [
        {
            "name": "shop",
            "host": "shop.example",
            "targets": [{"name": "service=web", "selector": "service=web"}],
            "policies": ["office"],
        }
    ]


def test_what_a_document_does_not_name_goes_and_parts_it_does_not_have_stay(any_console: Console) -> None:
    api = any_console
    apply(api, DOCUMENT)
    other = SHOP | {"name": "other"}
    assert changed(apply(api, {"routes": [other]})) == [
        ("create", "route", "other"),
        ("delete", "route", "shop"),
    ]
    assert api.get("/v1/policies/office").status_code == 200
    assert changed(apply(api, {"policies": [], "default_policies": []})) == [
        ("delete", "policy", "office"),
        ("update", "setting", "default_policies"),
    ]
    assert [one["name"] for one in api.get("/v1/routes").json()["items"]] == ["other"]
    assert changed(apply(api, {})) == []


def test_a_dry_run_says_what_would_be_changed_and_changes_nothing(any_console: Console) -> None:
    api = any_console
    apply(api, DOCUMENT)
    answer = apply(api, {"routes": [SHOP | {"priority": 1}]}, params={"dry_run": "true"})
    [change] = answer.json()["changes"]
    assert (change["before"]["priority"], change["after"]["priority"]) == (0, 1)
    assert answer.json()["dry_run"] is True
    assert api.get("/v1/routes/shop").json()["priority"] == 0
    assert api.feed.versions == [1]


def test_routes_can_take_each_others_places(any_console: Console) -> None:
    api = any_console
    a, b = SHOP | {"name": "a", "host": "a.example"}, SHOP | {"name": "b", "host": "b.example"}
    apply(api, {"routes": [a, b]})
    swapped = [a | {"host": "b.example"}, b | {"host": "a.example"}]
    assert changed(apply(api, {"routes": swapped})) == [("update", "route", "a"), ("update", "route", "b")]
    assert api.get("/v1/routes/a").json()["host"] == "b.example"


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        ({"routes": [SHOP, SHOP]}, ["routes[1].name"]),
        ({"routes": [SHOP | {"policies": ["none"]}]}, ["routes[0].policies[0]"]),
        ({"policies": []}, ["default_policies[0]", "routes.shop.policies[0]"]),
        ({"default_policies": ["office", "office"]}, ["default_policies"]),
        ({"routes": [SHOP | {"targets": []}]}, ["routes[0].targets"]),
        ({"roots": []}, ["roots"]),
        ([], [""]),
        ({"version": 2}, ["version"]),
    ],
)
def test_what_cannot_work_is_refused_whole(any_console: Console, document: Any, wrong: list[str]) -> None:
    apply(any_console, DOCUMENT)
    assert fields(apply(any_console, document)) == wrong
    assert fields(apply(any_console, document, params={"dry_run": "true"})) == wrong
    assert any_console.feed.versions == [1]


def test_identical_routes_in_a_document_are_refused(console: Console) -> None:
    answer = apply(console, {"routes": [SHOP, SHOP | {"name": "twin"}]})
    assert problem(answer, 422, "identical_routes")["errors"][0]["field"] == "routes[1].host"


@pytest.mark.parametrize(
    ("text", "media_type", "status", "code"),
    [
        ("routes: [", "application/yaml", 400, "malformed_body"),
        ("a: &a [1]\nb: *a", "application/yaml", 400, "malformed_body"),
        ("a: &a [*a]", "application/yaml", 400, "malformed_body"),
        ("[" * 500, "application/yaml", 400, "malformed_body"),
        ("[" * 100_000, "application/json", 400, "malformed_body"),
        ("!!python/object/apply:os.system ['true']", "application/yaml", 400, "malformed_body"),
        ("\x00", "application/yaml", 400, "malformed_body"),
        ("{", "application/json", 400, "malformed_body"),
        ("{}", "text/plain", 415, "unsupported_media_type"),
    ],
)
def test_texts_that_cannot_be_read_are_refused(
    console: Console, text: str, media_type: str, status: int, code: str
) -> None:
    problem(apply(console, text, media_type=media_type), status, code)


def test_nobody_overwrites_a_configuration_they_have_not_seen(console: Console) -> None:
    seen = console.get("/v1/config").headers["etag"]
    apply(console, DOCUMENT, headers={"If-Match": seen})
    problem(apply(console, {"routes": []}, headers={"If-Match": seen}), 412, "precondition_failed")


def test_a_document_of_many_routes_is_one_change(any_console: Console) -> None:
    api = any_console
    routes = [SHOP | {"name": f"r{number}", "host": f"h{number}.example"} for number in range(2000)]
    assert len(changed(apply(api, {"routes": routes}))) == 2000
    later = [route | {"priority": 1} for route in routes[:1500]]
    counts = [one[0] for one in changed(apply(api, {"routes": later}))]
    assert (counts.count("update"), counts.count("delete")) == (1500, 500)
    assert api.feed.versions == [1, 2]


@pytest.mark.parametrize(
    "document",
    [
        "priority: 1" + ":1" * 400 + ":1.5",
        "priority: 1" + ":1" * 40_000,
        "priority: !!int ''",
        "priority: !!float ''",
        "enabled: !!bool perhaps",
        "name: !!timestamp tomorrow",
        "1: x",
        "a: &a {x: y}\nb: {<<: [*a, *a]}",
    ],
)
def test_yaml_that_costs_more_than_it_is_long_or_means_nothing_is_refused(
    console: Console, document: str
) -> None:
    refused = problem(apply(console, document, media_type="application/yaml"), 400, "malformed_body")
    assert "in line" in refused["detail"]
