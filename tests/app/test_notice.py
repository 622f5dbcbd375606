from __future__ import annotations

import json

import pytest

from app.notice import say


def test_a_line_for_machines_is_json_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    say("error", "it ended", log_format="auto", how="killed by SIGKILL", delay=0.1)
    line = json.loads(capsys.readouterr().err)
    assert list(line) == ["time", "level", "event", "how", "delay"]
    assert (line["level"], line["event"], line["delay"]) == ("error", "it ended", 0.1)
    assert len(line["time"]) == len("2026-01-01T00:00:00.000000Z")


def test_a_line_for_people_has_columns(capsys: pytest.CaptureFixture[str]) -> None:
    say("error", "it ended", log_format="human", delay=0.1)
    assert capsys.readouterr().err[8:] == " [error   ] it ended delay=0.1\n"
