from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

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
    ("content", "media_type", "code"),
    [(b"{", "application/json", "malformed_body"), (b"{}", "text/plain", "invalid"), (b"", "", "invalid")],
)
def test_a_body_that_is_not_json_is_refused(
    console: Console, content: bytes, media_type: str, code: str
) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    problem(console.request("POST", "/v1/routes", content=content, headers=headers), 422, code)


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
