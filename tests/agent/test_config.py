from __future__ import annotations

from pathlib import Path

import pytest

from agent.config import AgentSettings, read_token
from backplane.cli.exit import CommandError, ExitCode
from backplane.cli.settings import SettingsError, load_settings
from h2s.token import JoinToken

REQUIRED: dict[str, object] = {
    "edges": ["edge.example:7443"],
    "services": ["web=http://127.0.0.1:3000"],
    "token_file": Path("join-token"),
}


def load(environ: dict[str, str] | None = None, config: Path | None = None, **flags: object) -> AgentSettings:
    return load_settings(AgentSettings, flags=REQUIRED | flags, environ=environ or {}, config=config)


def failure(environ: dict[str, str] | None = None, **flags: object) -> str:
    with pytest.raises(SettingsError) as caught:
        load(environ, None, **flags)
    return str(caught.value)


def upstreams(settings: AgentSettings) -> dict[str, list[str]]:
    return {name: [str(one) for one in several] for name, several in settings.services.items()}


def test_only_edges_services_and_token_are_required() -> None:
    settings = load()
    assert (settings.tunnels, settings.drain_timeout, settings.connect_timeout) == (2, 30, 10)
    assert (settings.ping_interval, settings.ping_timeout) == (25, 10)
    waits = (settings.reconnect_delay, settings.reconnect_max_delay, settings.reconnect_stable)
    assert waits == (0.5, 30, 5)
    assert (settings.upstream_connect_timeout, settings.upstream_response_timeout) == (5, 60)
    assert (settings.zone, settings.labels, settings.admin, settings.capacity) == ("", {}, None, None)


@pytest.mark.parametrize(
    ("key", "flag"), [("edges", "--edge"), ("services", "--service"), ("token_file", "--token-file")]
)
def test_missing_setting_is_named_by_its_flag(key: str, flag: str) -> None:
    assert failure(**{key: None}).startswith(f"{key}: is required: give {flag}, ")


def test_service_has_one_or_several_upstreams() -> None:
    settings = load(services=["web=http://a:1,http://b:2/", "api=http://[::1]"])
    assert upstreams(settings) == {"web": ["http://a:1", "http://b:2"], "api": ["http://[::1]:80"]}


def test_variable_separates_services_by_semicolons() -> None:
    settings = load({"BACKPLANE_SERVICES": "web=http://a:1,http://b:2;api=http://c:3"}, services=None)
    assert upstreams(settings) == {"web": ["http://a:1", "http://b:2"], "api": ["http://c:3"]}


def test_file_gives_services_and_labels_as_tables(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(
        '[services]\nweb = ["http://a:1", "http://b:2"]\napi = "http://c:3"\n[labels]\nrelease = "v2"\n'
    )
    settings = load(config=file, services=None)
    assert upstreams(settings) == {"web": ["http://a:1", "http://b:2"], "api": ["http://c:3"]}
    assert settings.labels == {"release": "v2"}


@pytest.mark.parametrize(
    ("services", "reason"),
    [
        (["web"], "is not NAME=URL"),
        (["=http://a:1"], "is not NAME=URL"),
        (["Web=http://a:1"], "not a DNS label"),
        (["-web=http://a:1"], "not a DNS label"),
        (["w_b=http://a:1"], "not a DNS label"),
        ([f"{'w' * 64}=http://a:1"], "not a DNS label"),
        (["web=tcp://a:1"], "'tcp' is not one of http, https, h2c, unix"),
        (["web=h2c://a:1,http://a:1"], "mixes h2c with upstreams"),
        (["web=unix:app.sock"], "with the whole path"),
        (["web=127.0.0.1:3000"], "write http://127.0.0.1:3000"),
        (["web=http://a:1/path"], "has a path"),
        (["web=http://a:1?q"], "has a path"),
        (["web=http://u:p@a:1"], "a user or a password"),
        (["web=http://a:x"], "not a number"),
        (["web=http://a:0"], "other than 0"),
        (["web=http://"], "has no host"),
        (["web=,"], "has no upstream"),
        (["web=http://a:1", "web=http://b:1"], "given twice"),
    ],
)
def test_wrong_service_is_refused_with_a_reason(services: list[str], reason: str) -> None:
    message = failure(services=services)
    assert message.startswith("flag --service: ")
    assert reason in message


@pytest.mark.parametrize("key", ["service", "zone", "agent"])
def test_reserved_label_is_refused(key: str) -> None:
    assert f"{key!r} is reserved" in failure(labels=[f"{key}=x"])


@pytest.mark.parametrize("label", ["release", "release=", "=v2", "a b=c", "a=b c", "a=(b)"])
def test_malformed_label_is_refused(label: str) -> None:
    assert failure(labels=[label]).startswith("flag --label: ")


def test_labels_are_read_from_flags_and_variable() -> None:
    assert load(labels=["release=v2", "team=a/b"]).labels == {"release": "v2", "team": "a/b"}
    assert load({"BACKPLANE_LABELS": "release=v2,team=x"}).labels == {"release": "v2", "team": "x"}


@pytest.mark.parametrize("edge", ["0.0.0.0:1", "[::]:1", "edge:0"])
def test_edge_that_nobody_can_dial_is_refused(edge: str) -> None:
    assert "cannot be dialled" in failure(edges=[edge])


@pytest.mark.parametrize("tunnels", [0, 17])
def test_number_of_tunnels_has_bounds(tunnels: int) -> None:
    assert failure(tunnels=tunnels).startswith("flag --tunnels: ")


@pytest.mark.parametrize("variable", ["DRAIN_TIMEOUT", "PING_INTERVAL", "PING_TIMEOUT"])
@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan"])
def test_time_is_a_positive_number(variable: str, seconds: str) -> None:
    message = failure({f"BACKPLANE_{variable}": seconds})
    assert message.startswith(f"variable BACKPLANE_{variable}: ")


def test_generated_ids_differ_and_are_valid_when_given_back() -> None:
    first, second = load().agent_id, load().agent_id
    assert first != second
    assert load(agent_id=first).agent_id == first


def test_token_is_read_from_its_file(tmp_path: Path) -> None:
    token = JoinToken(b"\x30\x82\x01\x00" + bytes(256), bytes(32))
    file = tmp_path / "join-token"
    file.write_text(token.encode() + "\n")
    assert read_token(file) == token


def test_missing_token_file_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="join-token: No such file"):
        read_token(tmp_path / "join-token")


def test_file_without_a_token_is_a_matter_of_trust(tmp_path: Path) -> None:
    file = tmp_path / "join-token"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(CommandError, match=r"join-token: this is not a join token") as caught:
        read_token(file)
    assert caught.value.exit_code is ExitCode.TRUST


JUNK = ["", "many", -1, 0, 1e300, "nan", 1.5, ["x"], [1], {}, {"a": 1}, {"a": [1]}, "x" * 1000, 10**30]


@pytest.mark.parametrize("key", AgentSettings.model_fields)
def test_what_is_wrong_is_said_in_our_words(key: str) -> None:
    said = []
    for value in JUNK:
        try:
            load(**{key: value})
        except SettingsError as error:
            said.append(str(error))
    assert said
    for message in said:
        assert "\n" not in message
        assert len(message) < 1500
        assert not any(word in message for word in ("Input", "valid ", "pattern", "instance"))
