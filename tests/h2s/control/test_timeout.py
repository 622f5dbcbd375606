"""How long a call may take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2s.control import Code, ControlError
from h2s.control.timeout import format_timeout, parse_timeout


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"250m", 0.25), (b"7u", 7e-6), (b"99999999n", 0.099999999)],
)
def test_a_timeout_is_a_number_and_a_unit(value: bytes, seconds: float) -> None:
    assert parse_timeout(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [b"", b"1", b"S", b"-1S", b"1.5S", b"123456789n", b"1 S", b"1s", b"1S,2S"])
def test_what_is_no_timeout_is_refused(value: bytes) -> None:
    with pytest.raises(ControlError) as caught:
        parse_timeout(value)
    assert caught.value.code is Code.INVALID_ARGUMENT


@given(st.floats(0.001, 1e9))
def test_a_timeout_comes_back_and_is_not_shorter(seconds: float) -> None:
    found = parse_timeout(format_timeout(seconds))
    assert seconds * (1 - 1e-9) <= found <= seconds * 1.001 + 0.001


def test_no_time_at_all_is_a_millisecond() -> None:
    assert format_timeout(0) == b"1m"
