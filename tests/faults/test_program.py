"""`python -m tests.faults` as it is typed."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.e2e


def test_the_program_tries_a_fault_and_prints_its_row() -> None:
    command = [sys.executable, "-m", "tests.faults", "--only", "app killed", "--rounds", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "| app killed, started again | 1 |" in done.stdout
