from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from backplane import (
    ApiError,
    BackplaneError,
    Client,
    Invalid,
    NotFound,
    RateLimited,
    RetryPolicy,
    ServerError,
    TokenUnusable,
    Unavailable,
    UnexpectedAnswer,
)
from backplane.call import Answer, problem
from backplane.endpoint import Endpoint, read_token

from .scripted import Reply, Scripted

PROBLEM = {
    "type": "about:blank",
    "title": "Unprocessable Content",
    "status": 422,
    "code": "invalid",
    "detail": "targets: the weights sum to zero",
    "hint": "Correct it.",
    "errors": [{"field": "targets", "detail": "the weights sum to zero"}],
    "request_id": "0123",
}


def test_problem_is_a_typed_error() -> None:
    error = problem(Answer(422, {"retry-after": "3"}, json.dumps(PROBLEM).encode()))
    assert isinstance(error, Invalid)
    assert (error.code, error.hint, error.request_id) == ("invalid", "Correct it.", "0123")
    assert (error.fields[0].field, error.retry_after) == ("targets", 3.0)
    assert str(error) == "targets: the weights sum to zero"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, NotFound), (429, RateLimited), (503, Unavailable), (502, ServerError), (418, ApiError)],
)
@pytest.mark.parametrize(
    "body", [b"", b"<h1>no</h1>", b"[]", b'"x"', b"null", b'{"detail": 1}', b"\xff\xfe", b'{"errors": 3}']
)
def test_error_that_is_no_problem_is_an_error_all_the_same(
    status: int, kind: type[ApiError], body: bytes
) -> None:
    error = problem(Answer(status, {"x-request-id": "7"}, body))
    assert type(error) is kind
    assert str(status) in str(error)
    assert error.request_id == "7"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>"),
        Reply(200, b'{"name": "x"}'),
        Reply(200, b'{"items": 3}'),
        Reply(302, headers={"Location": "http://127.0.0.1:1/"}),
        Reply(204, b""),
    ],
)
def test_answer_of_something_else_is_said_to_be(reply: Reply) -> None:
    with Scripted([reply]).serving() as server, Client(server.url) as client:
        with pytest.raises(UnexpectedAnswer):
            client.routes.get("x")
        with pytest.raises(UnexpectedAnswer):
            next(client.routes.list())


def test_list_that_does_not_go_on_ends() -> None:
    page = Reply(200, b'{"items": [], "next_cursor": "same"}')
    with (
        Scripted([page]).serving() as server,
        Client(server.url) as client,
        pytest.raises(UnexpectedAnswer, match="does not go on"),
    ):
        list(client.routes.list())


def test_token_is_sent_and_never_shown(tmp_path: Path) -> None:
    with (
        Scripted([Reply(200, b'{"items": []}')]).serving() as server,
        Client(server.url, token="secret") as client,
    ):
        list(client.routes.list())
        assert "secret" not in repr(client.endpoint)
    assert server.asked[0][2]["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "naïve", "\x00"])
def test_what_is_no_token_is_not_sent(token: str) -> None:
    with pytest.raises(TokenUnusable):
        Endpoint(url="https://edge.example", token=token)


def test_token_goes_over_no_network_in_the_clear() -> None:
    with pytest.raises(TokenUnusable, match="in the clear"):
        Endpoint(url="http://edge.example", token="x")
    for host in ("127.0.0.1", "[::1]", "localhost", "api.localhost"):
        Endpoint(url=f"http://{host}:7000", token="x")
    Endpoint(url="http://edge.example")


@pytest.mark.parametrize(
    "url", ["", "edge", "ftp://x", "https://", "https://u:p@x", "https://x?y", "https://x#y"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        Endpoint(url=url)


def test_token_file_has_one_token(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("  secret\n")
    assert read_token(file) == "secret"
    for content in (b"", b"a\nb\n", b"\xff", b"x" * 5000):
        file.write_bytes(content)
        with pytest.raises(TokenUnusable, match="does not have one token"):
            read_token(file)
    with pytest.raises(TokenUnusable, match="No such file"):
        read_token(tmp_path / "missing")


def test_missing_ca_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(BackplaneError, match="No such file"):
        Client("https://edge.example", ca_file=tmp_path / "missing")


def test_answer_in_no_time_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        client = Client(url, timeout=0.05, retry=RetryPolicy(attempts=1))
        with client, pytest.raises(BackplaneError, match="no answer in time"):
            client.routes.get("x")
