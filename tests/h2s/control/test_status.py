"""The status that ends a call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2s.control import Code, status_fields, status_of
from h2s.fields import trailer_error


@given(code=st.sampled_from(Code), message=st.text(max_size=256))
def test_any_status_comes_back_and_fits_into_trailers(code: Code, message: str) -> None:
    fields = status_fields(code, message)
    assert trailer_error(fields) is None
    assert status_of(fields) == (code, message)


def test_a_message_that_utf_8_cannot_say_is_still_sent() -> None:
    assert status_of(status_fields(Code.INTERNAL, "\ud800")) == (Code.INTERNAL, "?")


def test_a_long_message_is_cut() -> None:
    assert status_of(status_fields(Code.UNKNOWN, "x" * 1000)) == (Code.UNKNOWN, "x" * 256)


def test_a_message_that_is_too_long_is_cut_when_it_is_read() -> None:
    assert status_of([(b"grpc-status", b"2"), (b"grpc-message", b"%41" * 30_000)]) == (
        Code.UNKNOWN,
        "A" * 256,
    )


def test_an_empty_message_is_left_out() -> None:
    assert status_fields(Code.OK) == [(b"grpc-status", b"0")]


@pytest.mark.parametrize("value", [None, b"", b"x", b"99", b"-1", b"9" * 5000, b"\xff"])
def test_a_status_that_cannot_be_read_is_unknown(value: bytes | None) -> None:
    fields = [] if value is None else [(b"grpc-status", value)]
    assert status_of(fields)[0] is Code.UNKNOWN


def test_codes_are_those_of_grpc() -> None:
    assert {code.name: code.value for code in Code if code in (0, 1, 8, 12, 14, 16)} == {
        "OK": 0,
        "CANCELLED": 1,
        "RESOURCE_EXHAUSTED": 8,
        "UNIMPLEMENTED": 12,
        "UNAVAILABLE": 14,
        "UNAUTHENTICATED": 16,
    }
