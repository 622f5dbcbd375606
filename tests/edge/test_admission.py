from __future__ import annotations

import hashlib
from typing import Any

import pytest

from edge.admission import Uncounted, admit, uncounted
from edge.registry import Offer, Registry
from edge.snapshot import JoinGrant, Snapshot
from h2s.messages import Credentials, Hello, Refusal, ServiceOffer

from .fakes import VERSION, FakeTunnel, make_agent, make_offer

SECRET = "5ec2e7"


def grant(**changes: Any) -> JoinGrant:
    digest = hashlib.sha256(bytes.fromhex(SECRET)).hexdigest()
    return JoinGrant(**({"token_id": "t", "secret_sha256": digest} | changes))


def decide(
    *grants: JoinGrant, registry: Registry | None = None, draining: bool = False, **changes: Any
) -> list[Offer] | Uncounted | Refusal:
    values: dict[str, Any] = {
        "agent_id": "a",
        "generation": 1,
        "version": "1",
        "services": [ServiceOffer(name="web", labels={"env": "dev", "color": "red"}, capacity=5)],
        "credentials": Credentials(join_secret=SECRET),
    }
    return admit(
        Hello(**(values | changes)),
        snapshot=Snapshot(version=VERSION, edge_id="e", grants=grants),
        registry=registry or Registry(),
        now=1000.0,
        draining=draining,
    )


def refusal(*grants: JoinGrant, **changes: Any) -> Refusal:
    answer = decide(*grants, **changes)
    assert isinstance(answer, Refusal)
    return answer


def test_the_token_decides_what_the_agent_serves() -> None:
    answer = decide(
        grant(token_id="other", secret_sha256="0" * 64), grant(labels={"env": "prod"}, publish=False)
    )
    assert answer == [
        Offer(service="web", labels={"env": "prod", "color": "red"}, publish=False, capacity=5, token_id="t")
    ]


@pytest.mark.parametrize("secret", ["", "00", "not hex", "5ec2e", "é"])
def test_an_unknown_secret_is_refused_for_good(secret: str) -> None:
    answer = refusal(grant(), credentials=Credentials(join_secret=secret))
    assert (answer.code, answer.permanent) == ("token_unknown", True)


def test_a_token_expires_on_time() -> None:
    assert refusal(grant(expires=1000.0)).code == "token_expired"
    assert isinstance(decide(grant(expires=1000.1)), list)


def test_a_service_beyond_the_token_is_refused() -> None:
    assert refusal(grant(services=("api",))).code == "service_not_allowed"
    assert isinstance(decide(grant(services=("api", "web"))), list)


@pytest.mark.parametrize("key", ["agent", "service", "zone"])
def test_a_label_cannot_pass_for_what_an_instance_is(key: str) -> None:
    answer = refusal(grant(), services=[ServiceOffer(name="web", labels={key: "x"})])
    assert (answer.code, answer.permanent) == ("label_reserved", True)


def test_a_stopping_edge_asks_to_come_again() -> None:
    answer = refusal(grant(), draining=True)
    assert (answer.code, answer.permanent) == ("draining", False)
    assert answer.retry_after


def test_an_older_generation_is_refused_for_good() -> None:
    registry = Registry()
    registry.add_tunnel(make_agent(generation=2), [make_offer()], FakeTunnel())
    assert (answer := refusal(grant(), registry=registry)).code == "superseded"
    assert answer.permanent


def test_another_credential_cannot_join_a_connected_agent() -> None:
    registry = Registry()
    registry.add_tunnel(make_agent(), [make_offer("admin")], FakeTunnel())
    assert (answer := refusal(grant(services=("web",)), registry=registry)).code == "conflict"
    assert not answer.permanent


def test_a_limited_token_lets_known_agents_in_and_has_new_ones_counted() -> None:
    limited = grant(max_agents=2, agents=frozenset(("a",)))
    assert isinstance(decide(limited), list)
    assert decide(limited, agent_id="b") == Uncounted("t")
    full = grant(max_agents=2, agents=frozenset("ab"))
    assert isinstance(decide(full, agent_id="b"), list)
    answer = refusal(full, agent_id="c")
    assert (answer.code, answer.permanent) == ("token_used_up", True)


def test_an_agent_that_may_not_register_is_not_counted() -> None:
    limited = grant(max_agents=2, services=("api",))
    assert refusal(limited).code == "service_not_allowed"


@pytest.mark.parametrize(("reason", "permanent"), [("token_used_up", True), ("database_unavailable", False)])
def test_an_agent_that_was_not_counted_may_come_again_unless_its_token_is_used_up(
    reason: str, permanent: bool
) -> None:
    assert uncounted(reason).permanent is permanent
