"""Hostile peers in all the parsers, for a bounded time; `make fuzz` goes on from here.

The examples of a run are the same on every machine, so that a change that is tested here either breaks something or
does not. `found` holds cases in which something was once broken.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from .case import Case, Target
from .targets import TARGETS

EXAMPLES = {
    "ingress": 500,
    "http2": 400,
    "response": 700,
    "session": 700,
    "flood": 80,
    "handshake": 500,
    "control": 600,
}
"""What fits into some 30 seconds of CI, all in all."""
FOUND = sorted((Path(__file__).parent / "found").glob("*.json"))


def examine(target: Target) -> None:
    """Check as many cases as CI has time for."""

    @settings(
        max_examples=EXAMPLES[target.name],
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        phases=[Phase.generate, Phase.shrink],
    )
    @given(target.cases)
    def run(case: Case) -> None:
        target.check(case)

    run()


def test_no_http1_client_gets_two_requests_out_of_one() -> None:
    examine(TARGETS["ingress"])


def test_no_http2_client_says_what_it_could_not_say_in_http1() -> None:
    examine(TARGETS["http2"])


def test_no_upstream_gets_two_responses_out_of_one() -> None:
    examine(TARGETS["response"])


def test_no_http2_peer_gets_an_exception_out_of_a_session() -> None:
    examine(TARGETS["session"])


def test_no_http2_peer_fills_the_memory_of_a_session() -> None:
    examine(TARGETS["flood"])


def test_no_peer_leads_a_handshake_astray() -> None:
    examine(TARGETS["handshake"])


def test_no_peer_confuses_a_control_call() -> None:
    examine(TARGETS["control"])


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_was_once_found_stays_fixed(path: Path) -> None:
    name, case = Case.load(path)
    TARGETS[name].check(case)
