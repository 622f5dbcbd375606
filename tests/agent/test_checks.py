"""How health checks are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.checks import make_check
from h2s.messages import HealthCheck

from .test_config import failure, load


def test_kind_alone_is_a_check() -> None:
    assert make_check("web", "tcp") == HealthCheck()
    assert make_check("web", "none") == HealthCheck(kind="none")
    assert make_check("web", "grpc:shop.Basket") == HealthCheck(kind="grpc", service="shop.Basket")
    assert make_check("web", "http") == HealthCheck(kind="http", path="/")


def test_text_says_everything() -> None:
    text = (
        "http:/healthz?a=b, expect=200-299+404, interval=5, retry=0.5, timeout=2, healthy=2, unhealthy=3, grace=30,"
        "passive=0, host=shop.example"
    )
    assert make_check("web", text) == HealthCheck(
        kind="http",
        path="/healthz?a=b",
        host="shop.example",
        expect=["200-299", "404"],
        interval=5,
        retry=0.5,
        timeout=2,
        healthy=2,
        unhealthy=3,
        grace=30,
        passive=0,
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "kind: '' is none of http, grpc, tcp, none"),
        ("https:/", "only http and grpc have"),
        ("tcp:/x", "only http and grpc have"),
        ("udp", "kind: 'udp' is none of http, grpc, tcp, none"),
        ("grpc:a b", "service: it is the name of a gRPC service"),
        ("http:healthz", "path: it begins with /"),
        ("http:/a b", "path: it begins with /"),
        ("http:/\u00e4", "path: it begins with /"),
        ("http:/,host=a/b", "host: it is HOST"),
        ("http:/,expect=2xx", "expect: it is statuses"),
        ("http:/,expect=299-200", "expect: it is statuses"),
        ("http:/,interval", "'interval' is not KEY=VALUE"),
        ("http:/,interval=", "'interval=' is not KEY=VALUE"),
        ("http:/,interval=soon", "interval: 'soon' is not a number from 0.05"),
        ("http:/,interval=0", "interval: '0' is not a number from 0.05"),
        ("http:/,interval=nan", "interval: 'nan' is not a number"),
        ("http:/,healthy=1.5", "healthy: '1.5' is not a whole number from 1 to 100"),
        ("http:/,unhealthy=0", "unhealthy: '0' is not a whole number from 1 to 100"),
        ("http:/,interval=1,interval=2", "interval is given twice"),
        ("http:/,often=1", "'often' is none of kind, path, service, host, expect"),
    ],
)
def test_wrong_check_is_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        make_check("web", text)
    assert reason in str(caught.value)
    assert "check of 'web'" in str(caught.value)


def test_checks_are_read_from_flags_and_variable() -> None:
    assert load(checks=["web=http:/up"]).checks == {"web": HealthCheck(kind="http", path="/up")}
    services: dict[str, object] = {"services": ["web=http://a:1", "api=http://b:2"]}
    loaded = load({"BACKPLANE_CHECKS": "web=http:/up,timeout=1;api=none"}, **services)
    assert loaded.checks == {
        "web": HealthCheck(kind="http", path="/up", timeout=1),
        "api": HealthCheck(kind="none"),
    }


def test_file_gives_checks_as_texts_or_tables(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(
        '[services]\nweb = "http://a:1"\napi = "http://b:2"\n[checks]\napi = "tcp,timeout=1"\n'
        '[checks.web]\nkind = "http"\npath = "/a,b"\nexpect = [204, "300-399"]\ninterval = 5\n'
    )
    assert load(config=file, services=None).checks == {
        "web": HealthCheck(kind="http", path="/a,b", expect=["204", "300-399"], interval=5),
        "api": HealthCheck(timeout=1),
    }


@pytest.mark.parametrize(
    ("checks", "reason"),
    [
        (["api=tcp"], "there is no service 'api'"),
        (["web=tcp", "web=none"], "service 'web' has two checks"),
        (["tcp"], "is not NAME=http:/PATH"),
        (["web=grpc"], "its upstreams are not h2c://"),
    ],
)
def test_checks_are_of_services(checks: list[str], reason: str) -> None:
    message = failure(checks=checks)
    assert message.startswith("flag --check: ")
    assert reason in message


@pytest.mark.parametrize(
    ("status", "expected"), [(199, False), (200, True), (299, True), (300, False), (404, True), (405, False)]
)
def test_status_is_expected_within_ranges(status: int, expected: bool) -> None:
    assert HealthCheck(expect=["200-299", "404"]).expects(status) is expected
