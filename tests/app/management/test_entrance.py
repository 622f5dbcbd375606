from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.database import DatabaseUrl
from app.identity.records import hash_admin_token
from app.management.attempts import Attempts
from app.management.credentials import ApiCredential, Credentials, Role
from tests.app.console import TOKENS, Console
from tests.app.resources.test_routes import SHOP, problem

NOW = datetime(2031, 2, 3, tzinfo=UTC)
VIEWER_ONLY = {"Authorization": f"bearer {TOKENS[Role.VIEWER]}"}


def test_a_request_without_a_token_is_told_how_to_send_one(console: Console) -> None:
    answer = console.get("/v1/routes", role=None)
    assert "Authorization: Bearer" in problem(answer, 401, "unauthenticated")["hint"]
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_scheme_is_written_in_any_case(console: Console) -> None:
    assert console.get("/v1/routes", role=None, headers=VIEWER_ONLY).status_code == 200


def test_a_role_that_is_not_enough_is_named(console: Console) -> None:
    answer = console.post("/v1/routes", SHOP, role=Role.VIEWER)
    assert "needs the role editor" in problem(answer, 403, "forbidden")["detail"]


def test_wrong_tokens_are_limited_and_good_ones_are_not(console: Console) -> None:
    wrong = {"Authorization": "Bearer wrong"}
    codes = [console.get("/v1/routes", role=None, headers=wrong).status_code for _ in range(30)]
    assert codes[0] == 401
    assert codes[-1] == 429
    last = console.get("/v1/routes", role=None, headers=wrong)
    assert int(last.headers["retry-after"]) >= 1
    problem(last, 429, "too_many_attempts")
    assert console.get("/v1/routes").status_code == 200


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_that_is_too_large_is_refused(console: Console, declared: bool) -> None:
    content = b" " * (1024 * 1024 + 1)

    async def chunks() -> Any:
        for start in range(0, len(content), 65536):
            yield content[start : start + 65536]

    answer = console.request(
        "POST",
        "/v1/routes",
        content=content if declared else chunks(),
        headers={"Content-Type": "application/json"},
    )
    problem(answer, 413, "body_too_large")


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        (b"{", "application/json", 400, "malformed_body"),
        (b"\xff", "application/json", 400, "malformed_body"),
        (b"[" * 100_000, "application/json", 400, "malformed_body"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"{}", "", 415, "unsupported_media_type"),
        (b"a=1", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
        (b"", "", 422, "invalid"),
        (b"[]", "application/json", 422, "invalid"),
    ],
)
def test_a_body_that_is_not_json_is_refused(
    console: Console, content: bytes, media_type: str, status: int, code: str
) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    problem(console.request("POST", "/v1/routes", content=content, headers=headers), status, code)


def test_json_may_have_another_name_and_a_charset(console: Console) -> None:
    for name, media_type in (("a", "application/merge-patch+json"), ("b", "Application/JSON; charset=utf-8")):
        content = json.dumps({**SHOP, "name": name, "host": f"{name}.example"}).encode()
        answer = console.request("POST", "/v1/routes", content=content, headers={"Content-Type": media_type})
        assert answer.status_code == 201, answer.text


def test_a_body_that_comes_too_slowly_is_not_waited_for(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.management.entrance.BODY_TIMEOUT", 0.01)

    async def chunks() -> Any:
        yield b"{"
        await asyncio.Event().wait()

    headers = {"Content-Type": "application/json"}
    answer = console.request("POST", "/v1/routes", content=chunks(), headers=headers)
    problem(answer, 408, "slow_body")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        ("127.0.0.1:7000", True),
        ("192.0.2.1", True),
        ("[::1]:7000", True),
        ("localhost:7000", True),
        ("LOCALHOST.", True),
        ("Edge.Example:7000", True),
        ("", True),
        ("evil.example:7000", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("edge.example.evil.example", False),
    ],
)
def test_a_page_cannot_read_here_by_a_name_of_its_own(tmp_path: Path, host: str, is_known: bool) -> None:
    with Console(DatabaseUrl.sqlite(tmp_path), open_metrics=True, hosts=["edge.example"]) as console:
        for path in ("/healthz", "/metrics", "/docs", "/v1/routes"):
            answer = console.get(path, headers={"Host": host})
            if is_known:
                assert answer.status_code == 200, path
            else:
                problem(answer, 421, "unknown_host")


def test_other_origins_get_no_permission(console: Console) -> None:
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    asked = console.request("OPTIONS", "/v1/routes", role=None, headers=origin)
    read = console.get("/v1/routes", headers=origin)
    assert not [
        name for answer in (asked, read) for name in answer.headers if name.startswith("access-control")
    ]


def test_answers_are_not_kept_guessed_or_framed(console: Console) -> None:
    headers = console.get("/v1/routes").headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"


def test_paths_and_methods_that_are_not_there_are_problems(console: Console) -> None:
    problem(console.get("/v1/nothing"), 404, "not_found")
    problem(console.request("TRACE", "/v1/routes"), 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/v1/routes", "DELETE", "GET, HEAD, POST"),
        ("/v1/routes", "OPTIONS", "GET, HEAD, POST"),
        ("/v1/routes/shop", "POST", "GET, HEAD, PUT, PATCH, DELETE"),
        ("/v1/routes/shop/weights", "HEAD", "PATCH"),
        ("/v1/routes:explain", "GET", "POST"),
        ("/healthz", "POST", "GET, HEAD"),
        ("/docs", "DELETE", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_there_is_told_which_are(
    console: Console, path: str, method: str, allowed: str
) -> None:
    answer = console.request(method, path)
    assert answer.headers["allow"] == allowed
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/openapi.json", "/v1/routes", "/v1/events/stream"])
def test_head_answers_as_get_does_without_the_content(console: Console, path: str) -> None:
    head = console.request("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    if not path.endswith("stream"):
        get = console.get(path)
        for name in ("content-length", "content-type"):
            assert head.headers[name] == get.headers[name]


def test_head_wants_a_token_too(console: Console) -> None:
    assert console.request("HEAD", "/v1/routes", role=None).status_code == 401


def test_what_fails_here_is_a_problem_with_a_number_and_no_secret(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("swordfish")

    monkeypatch.setattr("app.resources.routes.service.RouteService.list", fail)
    answer = console.get("/v1/routes")
    problem(answer, 500, "internal")
    assert "swordfish" not in answer.text


def test_a_database_that_is_gone_is_a_503_with_the_reason(console: Console) -> None:
    path = console.database.url.path
    assert path is not None
    path.unlink()
    for answer in (console.get("/v1/routes"), console.post("/v1/routes", SHOP)):
        assert answer.headers["retry-after"]
        assert str(answer.json()["detail"]).startswith("The database is not available: ")
        problem(answer, 503, "database_unavailable")
    assert console.get("/healthz", role=None).status_code == 200


# -- the parts ------------------------------------------------------------------------------------------------------


def test_a_bucket_of_attempts_fills_again() -> None:
    attempts = Attempts(burst=2, refill=0.5)
    assert [attempts.failed("a", 10.0) for _ in range(3)] == [0.0, 0.0, 2.0]
    assert attempts.failed("b", 10.0) == 0.0
    assert attempts.failed("a", 12.0) == 0.0
    assert attempts.failed("a", 12.0) == 2.0


def test_attempts_remember_a_bounded_number_of_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.management.attempts.MAX_ADDRESSES", 2)
    attempts = Attempts(burst=1, refill=0.5)
    for address in "abc":
        attempts.failed(address, 0.0)
    assert attempts.failed("c", 0.0) > 0
    assert attempts.failed("a", 0.0) == 0.0


def test_attempts_are_counted_by_network_where_a_client_has_many_addresses() -> None:
    attempts = Attempts(burst=1, refill=0.5)
    assert attempts.failed("2001:db8::1", 0.0) == 0.0
    assert attempts.failed("2001:db8::2", 0.0) > 0.0
    assert attempts.failed("2001:db8:0:1::1", 0.0) == 0.0


def test_tokens_expire_and_are_forgotten() -> None:
    credentials = Credentials()
    one = ApiCredential(id="a", sha256=hash_admin_token("x"), role=Role.EDITOR, expires=NOW)
    credentials.replace([one])
    principal = credentials.check("x", NOW - timedelta(seconds=1))
    assert principal is not None
    assert (principal.id, principal.role) == ("a", Role.EDITOR)
    assert credentials.check("x", NOW) is None
    assert credentials.check("y", NOW - timedelta(seconds=1)) is None
    credentials.replace([])
    assert credentials.check("x", NOW - timedelta(seconds=1)) is None
