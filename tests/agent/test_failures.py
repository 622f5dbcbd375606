"""What is kept of the log for whoever inspects the agent."""

from __future__ import annotations

from agent.failures import KEPT, Failures


def test_warnings_and_errors_are_kept_with_their_fields() -> None:
    failures = Failures()
    failures.note({"level": "info", "event": "tunnel up", "time": "1"})
    failures.note({"level": "warning", "event": "no tunnel", "edge": "a:1", "retry_in": 2, "time": "2"})
    failures.note({"level": "error", "event": "an edge is given up", "time": "3"})
    assert [(line.level, line.text) for line in failures()] == [
        ("warning", "no tunnel edge=a:1 retry_in=2"),
        ("error", "an edge is given up"),
    ]


def test_only_the_last_ones_are_kept_and_long_ones_are_cut() -> None:
    failures = Failures()
    for number in range(KEPT + 5):
        failures.note({"level": "error", "event": f"{number}" + "x" * 1000})
    assert len(failures()) == KEPT
    assert failures()[-1].text.startswith(f"{KEPT + 4}x")
    assert len(failures()[-1].text) == 256
