from __future__ import annotations

import pytest

from edge.failure import agent_failure, client_answer


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        ("refused", 503, "refused"),
        ("tunnel_lost", 502, "tunnel_lost"),
        ("upstream-timeout: 30 s", 504, "upstream_timeout"),
        ("<script>", 502, "upstream_error"),
    ],
)
def test_a_failure_has_an_answer(failure: str, status: int, code: str) -> None:
    assert client_answer(failure)[:2] == (status, code)


def test_any_bytes_of_an_agent_make_a_bounded_failure() -> None:
    code, failure = agent_failure(
        [(b":status", b"502"), (b"h2s-error", b"\xff" * 1000), (b"h2s-error-detail", b"d")]
    )
    assert code == failure == "\xff" * 256
    assert agent_failure([(b"h2s-error", b"a"), (b"h2s-error-detail", b"b")]) == ("a", "a: b")
