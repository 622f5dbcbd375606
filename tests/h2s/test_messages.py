"""What the messages take, and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from h2s.messages import (
    AgentMessage,
    Drain,
    EdgeMessage,
    Hello,
    InstanceReport,
    Refusal,
    Welcome,
)

HELLO: dict[str, Any] = {
    "agent_id": "a-1",
    "generation": 1,
    "version": "0.1",
    "services": [{"name": "web", "labels": {"release": "v2"}}],
    "credentials": {"join_secret": "00"},
}
WELCOME: dict[str, Any] = {
    "edge_id": "e-1",
    "tunnel_id": "t-1",
    "control_nonce": "0" * 32,
    "config_version": {"fleet": "f", "epoch": 1, "n": 1},
    "limits": {"max_message": 1024},
}
REFUSAL: dict[str, Any] = {"title": "No", "status": 401, "detail": "no", "code": "no", "permanent": True}


def test_fields_of_a_newer_peer_are_ignored_at_every_depth() -> None:
    said = {**HELLO, "mood": "sunny", "services": [{"name": "web", "colour": "red"}]}
    assert Hello.model_validate_json(json.dumps(said)).services[0].name == "web"


def test_a_control_message_of_a_newer_peer_says_nothing() -> None:
    message = EdgeMessage.model_validate_json('{"renewed_credentials": {"x": 1}}')
    assert (message.config, message.drain, message.drain_ack) == (None, None, None)


def test_a_control_message_says_one_thing() -> None:
    with pytest.raises(ValidationError):
        AgentMessage.model_validate_json('{"draining": {}, "report": {"instances": []}}')


@pytest.mark.parametrize("name", ["", "Web", "-web", "web-", "a" * 64, "web\n", "wéb", "a.b"])
def test_a_service_is_named_by_one_dns_label(name: str) -> None:
    with pytest.raises(ValidationError):
        Hello.model_validate({**HELLO, "services": [{"name": name}]})


@pytest.mark.parametrize(
    "change",
    [
        {"services": []},
        {"services": [{"name": "web"}, {"name": "web"}]},
        {"services": [{"name": f"s{n}"} for n in range(257)]},
        {"services": [{"name": "web", "labels": {f"k{n}": "v" for n in range(65)}}]},
        {"services": [{"name": "web", "labels": {"k": "v" * 64}}]},
        {"services": [{"name": "web", "capacity": 0}]},
        {"generation": -1},
        {"generation": 2**63},
        {"agent_id": "a\n"},
        {"version": "v" * 257},
        {"credentials": {"join_secret": "0" * 257}},
    ],
)
def test_a_hello_is_bounded(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Hello.model_validate_json(json.dumps({**HELLO, **change}))


@pytest.mark.parametrize("nonce", ["", "0" * 31, "0" * 33, "G" * 32, "A" * 32])
def test_a_nonce_is_128_bits_in_hex(nonce: str) -> None:
    with pytest.raises(ValidationError):
        Welcome.model_validate({**WELCOME, "control_nonce": nonce})


def test_secrets_are_not_shown() -> None:
    hello = Hello.model_validate({**HELLO, "credentials": {"join_secret": "abcdef"}})
    welcome = Welcome.model_validate({**WELCOME, "control_nonce": "f" * 32})
    assert "abcdef" not in repr(hello)
    assert "f" * 32 not in repr(welcome)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1", "86401", "1e999"])
def test_a_wait_is_a_number_of_seconds_that_a_timer_takes(number: str) -> None:
    text = json.dumps({**REFUSAL, "retry_after": 0}).replace('"retry_after": 0', f'"retry_after": {number}')
    with pytest.raises(ValidationError):
        Refusal.model_validate_json(text)


@pytest.mark.parametrize("deadline", ["NaN", "Infinity", "-1"])
def test_the_deadline_of_a_drain_is_a_number_of_seconds(deadline: str) -> None:
    with pytest.raises(ValidationError):
        Drain.model_validate_json(f'{{"deadline": {deadline}}}')


@pytest.mark.parametrize("status", [200, 399, 600])
def test_a_refusal_has_the_status_of_an_error(status: int) -> None:
    with pytest.raises(ValidationError):
        Refusal.model_validate({**REFUSAL, "status": status})


def test_no_more_upstreams_are_healthy_than_there_are() -> None:
    with pytest.raises(ValidationError):
        InstanceReport(service="web", healthy=2, total=1)
