from __future__ import annotations

from typing import Any

import pytest

from tests.app.console import Console
from tests.app.resources.test_routes import SHOP, fields, problem

OFFICE: dict[str, Any] = {"name": "office", "rules": [{"type": "ip", "allow": ["192.0.2.0/24"]}]}


def test_a_policy_is_made_read_changed_and_deleted(any_console: Console) -> None:
    api = any_console
    made = api.post("/v1/policies", OFFICE)
    assert (made.status_code, made.headers["location"]) == (201, "/v1/policies/office")
    assert api.get("/v1/policies/office").json() == made.json()
    assert api.put("/v1/policies/office", made.json()).json() == made.json()
    changed = api.patch("/v1/policies/office", {"description": "ours"}, headers={"If-Match": '"1"'})
    assert (changed.json()["description"], changed.json()["revision"]) == ("ours", 2)
    assert [one["name"] for one in api.get("/v1/policies").json()["items"]] == ["office"]
    assert api.delete("/v1/policies/office").status_code == 204
    problem(api.get("/v1/policies/office"), 404, "policy_not_found")


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ([{"type": "magic"}], "rules[0]"),
        ([{"type": "ip", "allow": ["300.0.0.0/8"]}], "rules[0].ip.allow[0]"),
        ([{"type": "headers", "request": {"set": {"host": "x"}}}], "rules[0].headers.request.set.host.[key]"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_its_field(console: Console, rules: Any, field: str) -> None:
    assert fields(console.post("/v1/policies", OFFICE | {"rules": rules})) == [field]


def test_a_policy_that_is_used_stays(any_console: Console) -> None:
    api = any_console
    api.post("/v1/policies", OFFICE)
    api.post("/v1/routes", SHOP | {"policies": ["office"]})
    assert "shop" in problem(api.delete("/v1/policies/office"), 409, "policy_in_use")["detail"]
    api.patch("/v1/routes/shop", {"policies": []})
    assert api.delete("/v1/policies/office").status_code == 204


def test_discovered_services_get_default_policies(any_console: Console) -> None:
    api = any_console
    assert api.get("/v1/default_policies").json() == {"policies": []}
    assert fields(api.put("/v1/default_policies", {"policies": ["office"]})) == ["policies[0]"]
    api.post("/v1/policies", OFFICE)
    assert fields(api.put("/v1/default_policies", {"policies": ["office", "office"]})) == ["policies[1]"]
    first = api.put("/v1/default_policies", {"policies": ["office"]})
    again = api.put(
        "/v1/default_policies", {"policies": ["office"]}, headers={"If-Match": first.headers["etag"]}
    )
    assert first.json() == again.json() == {"policies": ["office"]}
    assert first.headers["etag"] == again.headers["etag"]
    problem(
        api.put("/v1/default_policies", {"policies": []}, headers={"If-Match": '"0"'}),
        412,
        "precondition_failed",
    )
    problem(api.delete("/v1/policies/office"), 409, "policy_in_use")
