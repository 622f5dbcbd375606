"""Allowances and the accounts kept with them."""

from __future__ import annotations

import pytest

from h2s.engine.conduct import Allowance, Conduct
from h2s.engine.session import Limits, Rate
from h2s.errors import ErrorCode, RemoteProtocolError


def test_without_time_an_allowance_is_its_burst() -> None:
    allowance = Allowance(Rate(3, 1000.0))
    assert [allowance.take(1, 0.0) for _ in range(4)] == [True, True, True, False]


def test_time_fills_an_allowance_up_to_its_burst() -> None:
    allowance = Allowance(Rate(10, 2.0))
    assert allowance.take(10, 5.0)
    assert not Allowance(Rate(10, 2.0)).take(11, 1e9)
    assert allowance.take(4, 7.0)
    assert not allowance.take(1, 7.0)


def test_what_is_earned_can_be_taken_again() -> None:
    allowance = Allowance(Rate(10, 0.0))
    allowance.earn(100)
    assert allowance.take(10, 0.0)
    allowance.earn(5)
    assert allowance.take(5, 0.0)
    assert not allowance.take(1, 0.0)


def test_without_a_rate_there_is_no_end() -> None:
    allowance = Allowance(None)
    assert all(allowance.take(1_000_000, 0.0) for _ in range(1000))


def test_useful_frames_pay_for_others() -> None:
    conduct = Conduct(Limits(overhead=Rate(1, 0.0)))
    conduct.overhead()
    conduct.useful()
    conduct.overhead()
    with pytest.raises(RemoteProtocolError) as raised:
        conduct.overhead()
    assert raised.value.code == ErrorCode.ENHANCE_YOUR_CALM


def test_long_frames_count_more() -> None:
    conduct = Conduct(Limits(overhead=Rate(65, 0.0)))
    conduct.overhead(16 * 1024)
    with pytest.raises(RemoteProtocolError):
        conduct.overhead()


def test_replies_count_until_they_have_left() -> None:
    conduct = Conduct(Limits(max_replies=2))
    for _ in range(3):
        conduct.reply()
        conduct.reply()
        conduct.replies_left()
    conduct.reply()
    conduct.reply()
    with pytest.raises(RemoteProtocolError):
        conduct.reply()
