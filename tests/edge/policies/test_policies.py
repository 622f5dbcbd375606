from __future__ import annotations

import pytest
from pydantic import ValidationError

from edge.policies import Chain, PolicySpec
from edge.problem import Refusal

from ..fakes import make_request

SPEC = {
    "name": "p",
    "rules": [
        {"type": "headers", "request": {"set": {"x-seen": "1"}}},
        {"type": "ip", "deny": ["203.0.113.5"]},
        {"type": "ip", "trusted_proxies": ["10.0.0.0/8"]},
    ],
}


def test_the_client_is_found_before_anyone_asks_and_heads_change_last() -> None:
    chain = Chain(PolicySpec.model_validate(SPEC).compile())
    request = make_request(peer="10.0.0.1", fields=[(b"x-forwarded-for", b"203.0.113.5")])
    with pytest.raises(Refusal):
        chain.enter(request)
    assert request.fields == [(b"x-forwarded-for", b"203.0.113.5")]


def test_a_policy_survives_its_journey_as_json() -> None:
    policy = PolicySpec.model_validate(SPEC)
    assert PolicySpec.model_validate_json(policy.model_dump_json()) == policy


def test_an_unknown_rule_is_refused_by_its_type() -> None:
    with pytest.raises(ValidationError, match="ip"):
        PolicySpec.model_validate({"name": "p", "rules": [{"type": "magic"}]})
