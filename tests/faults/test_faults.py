"""Each fault once, under load: clients notice no more than what was promised, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .faults import FAULTS
from .site import Needs, Site
from .trial import Fault, trial

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    "fault",
    sorted((fault for fault in FAULTS if not fault.long), key=lambda fault: repr(fault.needs)),
    ids=lambda fault: fault.name.replace(" ", "-").replace(",", ""),
)
def test_clients_notice_no_more_of_a_fault_than_was_promised(
    fault: Fault, site_for: Callable[[Needs], Site]
) -> None:
    account = trial(fault, site_for(fault.needs), rounds=1, warm_up=False)
    assert account.broken == []
    assert account.sent > 0
    assert account.survivors
