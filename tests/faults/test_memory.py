"""Clients and apps that do not read, or hardly: memory stays bounded, and others are served as before."""

from __future__ import annotations

import asyncio

import pytest

from tests.e2e.stage import Stage

from .ordeal import ordeal
from .pressure import PRESSURES, Pressure

pytestmark = pytest.mark.e2e

MEMORY = 250_000_000
FACTOR = 2
"""What p99 may grow by, as it does when it is measured at leisure."""
WATCHED = 1
"""The second descriptor of the tunnel, which it has from the first time that it was full on (`h2s.ahead`)."""
GRACE = 1.0
"""Seconds besides, for a machine that runs other tests. Whoever waits behind a stalled stream waits far longer."""


@pytest.mark.parametrize("pressure", PRESSURES, ids=lambda pressure: pressure.name.replace(" ", "-"))
def test_pressure_costs_bounded_memory_and_others_nothing(pressure: Pressure, stage: Stage) -> None:
    result = asyncio.run(ordeal(pressure, stage, requests=100, chances=2))
    assert result.edge_memory < MEMORY
    assert result.agent_memory < MEMORY
    assert result.under.failed == 0
    assert result.under.p99 < FACTOR * result.alone.p99 + GRACE
    assert result.edge_left <= result.edge_before + WATCHED
