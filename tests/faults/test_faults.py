"""Each fault once, under load: clients notice no more than what was promised, and nothing is left behind."""

from __future__ import annotations

import pytest

from tests.e2e.stage import Stage

from .faults import FAULTS, Fault, trial

pytestmark = pytest.mark.e2e

DESCRIPTORS = 12
"""Idle connections to an app more or less are no leak."""
MEMORY = 64 * 1024 * 1024
"""A first time takes some; whether it goes on growing is seen over many rounds only (`make faults`)."""


@pytest.mark.parametrize(
    "fault",
    [fault for fault in FAULTS if not fault.long],
    ids=lambda fault: fault.name.replace(" ", "-").replace(",", ""),
)
def test_clients_notice_no_more_of_a_fault_than_was_promised(fault: Fault, stage: Stage) -> None:
    account = trial(fault, stage, rounds=1, warm_up=False)
    assert account.broken == []
    for name, (before, after) in account.survivors.items():
        assert after.descriptors <= before.descriptors + DESCRIPTORS, name
        assert after.memory <= before.memory + MEMORY, name
