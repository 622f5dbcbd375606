from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from edge.explain import Explanation, Question, explain

from .test_exchange_routes import RoutedWorld


def ask(world: RoutedWorld, **changes: Any) -> Explanation:
    question = Question.model_validate({"host": "shop.test", "client": "192.0.2.7"} | changes)
    answer = explain(world.gateway.router, question)
    assert Explanation.model_validate_json(answer.model_dump_json()) == answer
    return answer


def test_a_route_is_named_with_its_targets_and_their_shares() -> None:
    targets = [
        {"name": "blue", "selector": "service=web", "weight": 3},
        {"name": "green", "selector": "service=web,agent=one", "weight": 1},
        {"name": "gone", "selector": "service=api", "weight": 96},
        {"name": "idle", "selector": "service=web,zone=z", "weight": 0},
    ]
    world = RoutedWorld({"targets": targets, "policies": ["p"]}, p=[])
    world.add("one")
    world.add("two", zone="z")
    answer = ask(world)
    assert (answer.route, answer.service, answer.policies, answer.status) == ("r0", None, ("p",), None)
    assert [(one.name, one.share, one.instances) for one in answer.targets] == [
        ("blue", 0.75, 2),
        ("green", 0.25, 1),
        ("gone", 0.0, 0),
        ("idle", 0.0, 1),
    ]
    assert [one.agent_id for one in answer.targets[1].some] == ["one"]
    assert answer.why == ("route 'r0' (host shop.test, path /): it serves",)


def test_routes_that_were_passed_over_are_named_with_the_reason() -> None:
    world = RoutedWorld(
        {},
        {"path": "/a", "methods": ["PUT", "POST"]},
        {"path": "/a", "priority": 1, "headers": [{"name": "x-canary", "exact": "yes"}]},
        {"path": "/a/b", "query": [{"name": "beta", "present": True}]},
        {"path": "/other"},
    )
    world.add()
    answer = ask(world, path="/a/b?c=1", headers=[["X-Canary", "no"]])
    assert answer.route == "r0"
    assert answer.why == (
        "route 'r3' (host shop.test, path /a/b): passed over, since query parameter beta is not there",
        "route 'r2' (host shop.test, path /a, priority 1): passed over, since header x-canary is not 'yes'",
        "route 'r1' (host shop.test, path /a): passed over, since the method is not POST or PUT",
        "route 'r0' (host shop.test, path /): it serves",
    )
    assert ask(world, path="/a/b?beta", method="POST").route == "r3"


def test_discovery_is_explained() -> None:
    world = RoutedWorld({}, p=[{"type": "ip", "deny": ["192.0.2.0/24"]}])
    world.add()
    answer = ask(world, host="web.localhost:80")
    assert (answer.route, answer.service, answer.status) == (None, "web", None)
    assert [(one.share, one.instances) for one in answer.targets] == [(1.0, 1)]
    world.configure({}, default_policies=("p",))
    answer = ask(world, host="web.localhost:80")
    assert (answer.service, answer.policies, answer.status, answer.code) == (
        "web",
        ("p",),
        403,
        "address_denied",
    )


def test_what_the_edge_would_answer_itself_is_said() -> None:
    world = RoutedWorld({}, {"path": "/admin"})
    assert (ask(world).status, ask(world).code) == (503, "no_healthy_instance")
    ambiguous = ask(world, path="/x/../admin")
    assert (ambiguous.status, ambiguous.code, ambiguous.route) == (400, "ambiguous_path", None)
    nothing = ask(world, host="nobody.localhost")
    assert (nothing.status, nothing.code) == (404, "no_route")
    assert nothing.why[-1] == (
        "no route matches, and discovery finds no service (domain localhost, default service auto)"
    )


@pytest.mark.parametrize(
    "changes", [{"host": "a b"}, {"host": ""}, {"path": "x"}, {"path": "/\r\n"}, {"method": "G T"}, {"x": 1}]
)
def test_a_question_that_is_no_request_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Question.model_validate({"host": "a.test"} | changes)
