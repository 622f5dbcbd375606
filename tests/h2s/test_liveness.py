"""When a silent peer is asked, and when it is given up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2s.liveness import AGENT_JITTER, EDGE_JITTER, Liveness, LivenessTimes, Verdict

TIMES = LivenessTimes(idle=25.0, timeout=10.0, attempts=2)


def test_a_silent_peer_is_asked_twice_and_given_up() -> None:
    liveness = Liveness(TIMES, now=100.0)
    told = []
    now = 100.0
    while not told or told[-1][1] is not Verdict.DEAD:
        now = liveness.deadline
        told.append((now, liveness.check(now)))
    assert told == [(125.0, Verdict.PING), (135.0, Verdict.PING), (145.0, Verdict.DEAD)]
    assert now - 100.0 == TIMES.worst_case


def test_defaults_find_a_dead_peer_within_fifty_seconds() -> None:
    assert LivenessTimes().worst_case <= 50.0


def test_an_edge_asks_before_its_agents_would() -> None:
    latest = Liveness(TIMES, now=0.0, jitter=max(EDGE_JITTER))
    earliest = Liveness(TIMES, now=0.0, jitter=min(AGENT_JITTER))
    assert latest.deadline <= earliest.deadline


def test_nothing_is_due_before_the_deadline() -> None:
    liveness = Liveness(TIMES, now=0.0)
    assert liveness.check(24.9) is Verdict.WAIT
    assert liveness.check(25.0) is Verdict.PING
    assert liveness.check(34.9) is Verdict.WAIT


def test_any_byte_puts_the_question_off() -> None:
    liveness = Liveness(TIMES, now=0.0)
    liveness.heard(20.0)
    assert liveness.deadline == 45.0
    assert liveness.check(25.0) is Verdict.WAIT


def test_any_byte_answers_a_ping() -> None:
    liveness = Liveness(TIMES, now=0.0)
    liveness.check(25.0)
    liveness.heard(26.0)
    assert liveness.deadline == 51.0
    assert [liveness.check(liveness.deadline) for _ in range(3)] == [Verdict.PING, Verdict.PING, Verdict.DEAD]


def test_bytes_from_before_a_ping_do_not_answer_it() -> None:
    liveness = Liveness(TIMES, now=0.0)
    liveness.check(25.0)
    liveness.heard(24.0)
    liveness.heard(25.0)
    assert liveness.deadline == 35.0


def test_old_news_do_not_turn_the_clock_back() -> None:
    liveness = Liveness(TIMES, now=0.0)
    liveness.heard(20.0)
    liveness.heard(10.0)
    assert liveness.deadline == 45.0


def test_an_answer_measures_the_round_trip() -> None:
    liveness = Liveness(TIMES, now=0.0)
    liveness.check(25.0)
    liveness.acked(liveness.payload, 25.5)
    assert liveness.round_trip == pytest.approx(0.5)
    assert liveness.deadline == 50.5


def test_an_answer_within_one_tick_of_a_coarse_clock_is_an_answer() -> None:
    liveness = Liveness(TIMES, now=0.0)
    liveness.check(25.0)
    liveness.acked(liveness.payload, 25.0)
    assert liveness.round_trip == 0.0
    assert liveness.deadline == 50.0


def test_an_answer_to_an_earlier_ping_is_life_but_measures_nothing() -> None:
    liveness = Liveness(TIMES, now=0.0)
    liveness.check(25.0)
    first = liveness.payload
    liveness.check(35.0)
    assert liveness.payload != first
    liveness.acked(first, 36.0)
    assert liveness.round_trip is None
    assert liveness.deadline == 61.0


def test_jitter_shortens_the_idle_time_only() -> None:
    liveness = Liveness(TIMES, now=0.0, jitter=0.8)
    assert liveness.deadline == 20.0
    liveness.check(20.0)
    assert liveness.deadline == 30.0


def test_payloads_are_eight_bytes_and_differ() -> None:
    liveness = Liveness(TIMES, now=0.0)
    payloads = set()
    for _ in range(3):
        liveness.check(liveness.deadline)
        liveness.acked(liveness.payload, liveness.deadline)
        payloads.add(liveness.payload)
    assert len(payloads) == 3
    assert {len(payload) for payload in payloads} == {8}


@given(steps=st.lists(st.tuples(st.floats(0.001, 60), st.booleans()), max_size=50))
def test_a_verdict_of_death_needs_the_whole_time_in_silence(steps: list[tuple[float, bool]]) -> None:
    liveness, now, last_heard = Liveness(TIMES, now=0.0), 0.0, 0.0
    for wait, hears in steps:
        now += wait
        if hears:
            liveness.heard(now)
            last_heard = now
        if liveness.check(now) is Verdict.DEAD:
            assert now - last_heard >= TIMES.worst_case - 1e-6
            return
        assert liveness.deadline > now
